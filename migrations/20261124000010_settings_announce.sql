-- A settings form that is saved without a change ends nobody's access: it wakes no hub.

drop trigger announce_change on settings;
create trigger announce_addition after insert on settings
    for each row execute function openpam.announce_access_change();
create trigger announce_change after update on settings for each row
    when ((to_jsonb(old) - 'updated_at') is distinct from (to_jsonb(new) - 'updated_at'))
    execute function openpam.announce_access_change();
