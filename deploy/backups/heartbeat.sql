-- Writes the time into the database `postgres`, every five minutes. The drill reads from it how much a restore has lost, and whether a
-- restore to a point in time stopped where it should.
set client_min_messages = warning;
create table if not exists backup_heartbeat (at timestamptz primary key);
insert into backup_heartbeat values (clock_timestamp());
delete from backup_heartbeat where at < now() - interval '40 days';
