-- recordings: what the search counts as not found line by line is more than what was too fast.

drop index recording_index_some_sampled;
create index recording_index_partial on recording_index (tenant_id, session_id)
    where sampled <> '{}' or truncated or error_code is not null;
