-- recordings: where output was too fast for each line of it to be searched.

alter table recording_index
    add column sampled bigint[] not null default '{}',
    add constraint recording_index_sampled_pairs
        check (cardinality(sampled) % 2 = 0 and cardinality(sampled) <= 128 and array_position(sampled, null) is null);
comment on column recording_index.sampled is
    'stretches of the recording whose output was too fast for each line of it to be indexed: beginnings and ends in turn, in microseconds since the recording began';
create index recording_index_some_sampled on recording_index (tenant_id, session_id) where sampled <> '{}';
