//! The days on which backups are needed, and those on which they are damaged.

use std::fs;

use stack::drill::Drill;

use super::{COMMAND, site::Site};

/// Runs the drill, which must fail, and returns what it reported and said.
fn failing_drill(site: &Site, with: &str) -> (String, String) {
    let outcome = site.offsite.try_bash(&format!("{with} reported restore-drill 777600 drill"));
    assert_eq!(outcome.code, 1, "{}", outcome.said);
    let report = site.report("restore-drill");
    assert_eq!(report["ok"], false, "{report}");
    assert!(!site.offsite.path("scratch/data").exists(), "the scratch cluster stays");
    (report["detail"].as_str().unwrap().to_owned(), outcome.said)
}

/// Rows that should be there, tables that were, and data that is too old.
pub(crate) fn drill_finds_what_is_missing(site: &Site) {
    let expectations = site.offsite.path("etc/backups/expectations");
    let before = fs::read_to_string(&expectations).unwrap();
    fs::write(
        &expectations,
        format!("{before}makenotwork select count(*) > 100000 from users\nforums select x from nothing\n"),
    )
    .unwrap();
    let rows = site.offsite.path("drill/rows");
    let counted = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, counted.replace("users\t5500", "users\t55000") + "forums\tpublic.threads\t12\n").unwrap();
    let (detail, said) = failing_drill(site, "");
    assert_eq!(
        detail,
        "drill: 4 things are not as they should be, first: an expectation does not hold: makenotwork: select count(*) > 100000 from users (the answer is f)"
    );
    for line in [
        "forums: select x from nothing (the answer is ERROR:  relation \"nothing\" does not exist",
        "makenotwork: public.users has 5500 rows, it had 55000 (if that is right: rm ",
        "forums: public.threads is gone, it had 12 rows",
    ] {
        assert!(said.contains(line), "{line} is missing:\n{said}");
    }
    fs::write(&expectations, before).unwrap();
    fs::write(&rows, counted).unwrap();

    let (detail, _) = failing_drill(site, "LOSS_MAX=-1");
    assert!(detail.starts_with("drill: a restore now would lose the last "), "{detail}");
}

/// One byte of one file is wrong.
pub(crate) fn drill_finds_a_damaged_file(site: &Site) {
    let file = site
        .offsite
        .bash("find copy/pgbackrest/backup/main/*F/pg_data/base -name '*.zst' -size +3k | sort | sed -n 1p");
    let file = site.offsite.path(file.trim());
    let sound = fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    *damaged.get_mut(1_000).unwrap() ^= 1;
    fs::write(&file, damaged).unwrap();
    let (detail, _) = failing_drill(site, "");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        detail.starts_with("drill: the repository is damaged: invalid checksum") && detail.contains(name),
        "{detail}"
    );
    fs::write(&file, sound).unwrap();

    // A piece of the WAL, which another has taken the place of.
    let wal = site.offsite.bash("find copy/pgbackrest/archive -name '0*-*.zst' | sort | tail -n 2");
    let wal: Vec<_> = wal.lines().map(|wal| site.offsite.path(wal)).collect();
    let [other, wal] = &wal[..] else { panic!("there are two: {wal:?}") };
    let sound = fs::read(wal).unwrap();
    fs::write(wal, fs::read(other).unwrap()).unwrap();
    let (detail, _) = failing_drill(site, "");
    assert!(detail.starts_with("drill: the repository is damaged: invalid checksum"), "{detail}");
    fs::write(wal, sound).unwrap();
}

/// Whoever has the VPS overwrites and deletes what is there; the offsite copy says so, and stays as it was.
pub(crate) fn a_stolen_vps_erases_nothing(site: &Site) {
    site.offsite.bash("rm -rf copy/replaced/*");
    let list = "pgbackrest --stanza=main info --output=json | jq -c '[.[0].backup[].label]'
        cd copy/pgbackrest; find . -type f ! -name '*.info*' | sort | xargs sha256sum";
    let before = site.offsite.bash(list);
    site.vps.bash("cp -a var/backups/site site-before");

    // Another list of backups, of nobody's.
    site.vps.bash("for file in var/backups/site/pgbackrest/*/main/*.info*; do echo '[backrest]' >$file; done");
    let outcome = site.offsite.try_bash("pull");
    assert_eq!(outcome.code, 1, "{}", outcome.said);
    assert!(outcome.said.contains("the VPS's list of backups can't be used; the former one stays"), "{}", outcome.said);
    assert_eq!(site.offsite.bash(list), before);
    site.vps.bash("rm -rf var/backups/site; cp -a site-before var/backups/site");

    // A file of a backup.
    site.vps.bash("file=$(ls var/backups/site/pgbackrest/backup/main/*F/pg_data/global/pg_control.zst | sed -n 1p); echo rubbish >$file");
    let outcome = site.offsite.try_bash("pull");
    assert_eq!(outcome.code, 1, "{}", outcome.said);
    assert!(outcome.said.contains("1 files that never change have changed at the VPS"), "{}", outcome.said);
    site.offsite.bash("cd copy; cp -p replaced/*/backup/main/*F/pg_data/global/pg_control.zst pgbackrest/backup/main/*F/pg_data/global/");
    assert_eq!(site.offsite.bash(list), before);

    // Everything.
    site.vps.bash("rm -rf var/backups/site/pgbackrest/* var/backups/site/dumps/*");
    let outcome = site.offsite.try_bash("reported pull 10800 pull");
    assert_eq!(outcome.code, 1, "{}", outcome.said);
    let report = site.report("pull");
    assert!(report["detail"].as_str().unwrap().contains("has no backup/main/backup.info any more"), "{report}");
    assert_eq!(report["ok"], false);
    assert_eq!(site.offsite.bash(list), before);
    assert_eq!(site.offsite.bash("ls copy/dumps | wc -l"), "3\n");
    site.vps.bash("rm -rf var/backups/site; cp -a site-before var/backups/site");
    site.offsite.bash("pull");
}

/// Rows are deleted by mistake; they come back on the VPS, from its own repository, by the commands of docs/backups.md.
pub(crate) fn point_in_time(site: &Site) {
    let before = site
        .vps
        .bash("psql -XqAt -d makenotwork -c 'select count(*), md5(string_agg(name, $$,$$ order by id)) from users'");
    let moment = site.vps.bash("psql -XqAt -d postgres -c 'select pg_sleep(0.1), clock_timestamp()' | tr -d '|'");
    site.vps.bash("psql -Xq -d makenotwork -c 'delete from users where id > 10'");
    site.beat();
    site.archive();
    site.vps.bash("pg_ctl -D data -w -s -m fast stop");
    site.vps.bash(&format!(
        "pgbackrest --stanza=main --delta --type=time --target='{}' --target-action=promote restore
         pg_ctl -D data -w -s -l postgresql.log start
         until [ \"$(psql -XqAt -d postgres -c 'select pg_is_in_recovery()')\" = f ]; do sleep 0.1; done",
        moment.trim()
    ));
    let after = site
        .vps
        .bash("psql -XqAt -d makenotwork -c 'select count(*), md5(string_agg(name, $$,$$ order by id)) from users'");
    assert_eq!(after, before);
    // Life goes on, on a new timeline, which the offsite machine pulls as well.
    site.beat();
    site.vps.bash("backup incr");
    for _ in 0..2 {
        site.beat();
    }
    site.archive();
    site.offsite.bash("pull");
}

/// The VPS is gone with all that it had. The drill passes, and a new machine is made from the copy alone.
pub(crate) fn everything_is_lost(site: &Site) {
    let users = "psql -XqAt -d makenotwork -c 'select count(*), md5(string_agg(name, $$,$$ order by id)) from users'";
    let before = site.vps.bash(users);
    let mut log = Drill::begin("offsite", COMMAND);
    site.vps.bash("pg_ctl -D data -w -s -m immediate stop; rm -rf data var/backups/site");
    log.done("the VPS is lost: no database, no repository, no dumps");
    let drilled = site.offsite.try_bash("reported restore-drill 777600 drill");
    assert_eq!(drilled.code, 0, "{}", drilled.said);
    log.done("the restore drill passes on the offsite machine");
    log.said(drilled.said.lines().last());
    // What the runbook says: the copy goes to the new machine, and is its repository from then on.
    let copy = site.offsite.text("copy/pgbackrest");
    site.vps.bash(&format!(
        "mkdir -p var/backups/site/dumps; cp -a {copy} var/backups/site/; mkdir -m 0700 data
         pgbackrest --stanza=main restore"
    ));
    log.done("the copy is brought to a new machine; pgbackrest restore");
    // postgresql.conf lay in the data folder here, and so came back with it.
    site.vps.bash(
        "pg_ctl -D data -w -s -l postgresql.log start
         until [ \"$(psql -XqAt -d postgres -c 'select pg_is_in_recovery()')\" = f ]; do sleep 0.1; done",
    );
    assert_eq!(site.vps.bash(users), before);
    log.done("PostgreSQL has replayed all WAL; every row is there");
    site.vps.bash("backup full");
    log.done("a full backup of the new machine");
    for _ in 0..2 {
        site.beat();
    }
    site.archive();
    site.offsite.bash("pull");
    log.done("the offsite machine pulls from it");
    log.end();
}

/// By a clock that is put forward: nothing goes after 29 days, and after 31 what is older than the newest full backup.
pub(crate) fn backups_end_after_thirty_days(site: &Site) {
    let labels =
        "pgbackrest --stanza=main info --output=json | jq -r '.[0].backup[].type' | sort | uniq -c | tr -s ' '";
    for machine in [&site.vps, &site.offsite] {
        machine.bash("faketime '+29 days' pgbackrest --stanza=main expire");
        assert_eq!(machine.bash(labels), " 2 full\n 2 incr\n");
        machine.bash("faketime '+31 days' pgbackrest --stanza=main expire");
        assert_eq!(machine.bash(labels), " 1 full\n");
    }
    // The WAL that only they needed has gone with them, and what is left can be restored.
    assert_eq!(site.offsite.bash("find copy/pgbackrest/archive -name '00000001*' | wc -l"), "0\n");
    site.offsite.bash("rm -rf scratch/data; mkdir -m 0700 scratch/data; pgbackrest --stanza=main --pg1-path=$PWD/scratch/data restore; rm -rf scratch/data");
}
