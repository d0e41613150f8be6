-- identity: whether something was done under a key, noted in the transaction that does it. A hub that dies between its
-- commit and its answer leaves a key that is not done again.

alter table idempotency_keys add column acted boolean not null default false;
comment on column idempotency_keys.acted is 'a transaction of the request was committed: nobody takes the key over';
