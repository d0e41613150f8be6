-- settings: what an admin of a tenant may change at run time.

create table settings (
    tenant_id  uuid primary key references tenants,
    terminal_idle_timeout_seconds integer,
    terminal_max_duration_seconds integer,
    terminal_resume_grace_seconds integer,
    clipboard_write boolean not null default true,
    require_reason  boolean not null default false,
    motd            text,
    updated_at timestamptz not null default now(),
    constraint settings_idle_timeout_range check (terminal_idle_timeout_seconds between 30 and 604800),
    constraint settings_max_duration_range check (terminal_max_duration_seconds between 60 and 2592000),
    constraint settings_resume_grace_range check (terminal_resume_grace_seconds between 0 and 3600),
    constraint settings_motd_length check (length(motd) <= 2000)
);
comment on table settings is 'choices of a tenant; null means the hub''s configuration decides';
call openpam.isolate_by_tenant('settings');
create trigger settings_touch before update on settings for each row execute function openpam.touch_updated_at();
call openpam.audit_rows('settings', 'tenant_id');
revoke delete on settings from openpam_app;
