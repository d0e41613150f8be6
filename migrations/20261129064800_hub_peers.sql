-- sessions: where other hubs of this database reach a hub, so that what it carries can be watched through any of them.
alter table hubs
    add column peer_url text,
    add column origin text;
comment on column hubs.peer_url is 'base URL for the other hubs; null where it takes nothing from them';
comment on column hubs.origin is 'scheme, host and port under which browsers reach it';
