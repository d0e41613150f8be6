-- Nobody but the owner needs temporary tables and types. Where the owner does not own the database, its
-- administrator revokes the right (docs/operator.md).
do $$
begin
    if exists (select from pg_database where datname = current_database() and pg_has_role(current_user, datdba, 'usage')) then
        execute format('revoke temporary on database %I from public, openpam_app', current_database());
    end if;
end
$$;
