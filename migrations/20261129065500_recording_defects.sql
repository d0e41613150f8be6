-- recordings: what the last verification of a closed one found wrong, so that a list can be of those.
alter table recordings
    add column defect text,
    add column defect_at timestamptz,
    add constraint recordings_defect check ((defect is null) = (defect_at is null)),
    add constraint recordings_defect_length check (length(defect) between 1 and 100);
comment on column recordings.defect is 'stable name of what the last verification found wrong; null where it found nothing, or none was done';
comment on column recordings.defect_at is 'when it was found first';
create index recordings_held on recordings (tenant_id, session_id desc) where hold_at is not null;
create index recordings_defective on recordings (tenant_id, session_id desc) where defect is not null;
