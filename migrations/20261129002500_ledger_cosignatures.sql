-- ledger: what witnesses signed of the system's checkpoints.

create table ledger_cosignatures (
    origin  text not null,
    size    bigint not null,
    witness text not null,
    line    text not null,
    at      timestamptz not null default clock_timestamp(),
    constraint ledger_cosignatures_pkey primary key (origin, size, witness),
    constraint ledger_cosignatures_size check (size > 0 and octet_length(origin) <= 255 and octet_length(witness) <= 255),
    constraint ledger_cosignatures_line check (octet_length(line) <= 1024 and line ~ '^[^\n]+\n$')
);
comment on table ledger_cosignatures is 'signatures of witnesses under the system''s checkpoints';
comment on column ledger_cosignatures.origin is 'the log''s name: a ledger of another name has others';
comment on column ledger_cosignatures.line is 'the signature line of the note, as the witness answered it';

revoke all on ledger_cosignatures from openpam_app;
grant select, insert on ledger_cosignatures to openpam_app;
create trigger ledger_cosignatures_append_only before update or delete or truncate on ledger_cosignatures
    for each statement execute function openpam.refuse_change();
call openpam.enable_always();
