//! What happens every day.

use std::fs;

use stack::drill::Drill;

use super::{COMMAND, site::Site};

/// A full backup, then an incremental one on top of it; each reports.
pub(crate) fn full_and_incremental(site: &Site) {
    site.beat();
    site.vps.bash("reported backup 108000 backup full");
    let report = site.report("backup");
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["detail"].as_str().unwrap().starts_with("full "), "{report}");

    site.vps
        .bash("psql -Xq -d makenotwork -c \"insert into users select n, 'later' from generate_series(5001, 5500) n\"");
    // Not the day of the full backup.
    site.vps.bash("FULL_ON=never reported backup 108000 backup");
    let report = site.report("backup");
    assert!(report["detail"].as_str().unwrap().starts_with("incr "), "{report}");
    let labels = site.vps.bash("pgbackrest --stanza=main info --output=json | jq -r '.[0].backup[] | .type + \" \" + (.reference | length | tostring)'");
    assert_eq!(labels, "full 0\nincr 1\n");

    // Nothing in the repository can be read without the passphrase.
    let plain = site.vps.bash("grep -rlE 'creator 17|backrest-format' var/backups/site/pgbackrest || true");
    assert_eq!(plain, "");

    // Two heartbeats after the backup, for the drill.
    for _ in 0..2 {
        site.beat();
    }
    site.archive();
}

/// A dump is loaded into a cluster of its own, by PostgreSQL's own programs.
pub(crate) fn dumps_load_anywhere(site: &Site) {
    site.vps.bash("reported dump 108000 dump");
    let report = site.report("dump");
    assert_eq!(report["ok"], true, "{report}");
    let rows = site.vps.bash(
        "initdb --pgdata=staging --username=postgres --auth=trust --no-sync >initdb.log
         echo \"listen_addresses = ''\" >>staging/postgresql.conf
         mkdir -p staging-run
         pg_ctl -D staging -w -s -l staging.log -o \"-k $PWD/staging-run\" start
         export PGHOST=$PWD/staging-run
         psql -Xqd postgres -f var/backups/site/dumps/roles-*.sql >/dev/null 2>&1
         createdb staging
         pg_restore --no-owner --exit-on-error --dbname=staging var/backups/site/dumps/makenotwork-*.dump
         psql -XqAt -d staging -c 'select count(*), md5(string_agg(id || name, $$,$$ order by id)) from users'
         pg_ctl -D staging -m immediate -s stop; rm -rf staging staging-run",
    );
    assert_eq!(
        rows,
        site.vps.bash(
            "psql -XqAt -d makenotwork -c 'select count(*), md5(string_agg(id || name, $$,$$ order by id)) from users'"
        )
    );
    assert!(rows.starts_with("5500|"), "{rows}");
    let passwords = site.vps.bash("grep -c PASSWORD var/backups/site/dumps/roles-*.sql || true");
    assert_eq!(passwords, "0\n");
}

/// With recipients, only who has their key can read a dump. Old ones go by the date in their names.
pub(crate) fn dumps_are_encrypted_and_expire(site: &Site) {
    site.vps.bash(
        "age-keygen -o age.key 2>/dev/null; age-keygen -y age.key >etc/backups/dump.recipients
         cd var/backups/site/dumps; rm -f *
         touch makenotwork-$(date -u -d '-31 days' +%F).dump makenotwork-$(date -u -d '-29 days' +%F).dump.age
         touch roles-$(date -u -d '-31 days' +%F).sql.age notes.txt",
    );
    site.vps.bash("dump");
    let left = site.vps.bash(
        "cd var/backups/site/dumps; for file in *; do sed \"s/$(date -u +%F)/TODAY/; s/$(date -u -d '-29 days' +%F)/29-DAYS/\" <<<\"$file\"; done",
    );
    assert_eq!(
        left,
        "forums-TODAY.dump.age\nmakenotwork-29-DAYS.dump.age\nmakenotwork-TODAY.dump.age\nnotes.txt\nroles-TODAY.sql.age\n"
    );
    assert_ne!(
        site.vps.try_bash("pg_restore --list var/backups/site/dumps/makenotwork-$(date -u +%F).dump.age").code,
        0
    );
    let list = site.vps.bash(
        "age --decrypt -i age.key var/backups/site/dumps/makenotwork-$(date -u +%F).dump.age | pg_restore --list",
    );
    assert!(list.contains("TABLE DATA public users"), "{list}");
    site.vps.bash("rm etc/backups/dump.recipients var/backups/site/dumps/*; dump");
}

/// The report says what was wrong, and no half dump bears a good name.
pub(crate) fn a_dump_that_fails_leaves_nothing(site: &Site) {
    let before = site.vps.bash("ls var/backups/site/dumps");
    let outcome = site.vps.try_bash("DATABASES=no_such_database reported dump 108000 dump");
    assert_eq!(outcome.code, 1, "{}", outcome.said);
    let report = site.report("dump");
    assert_eq!(report["ok"], false, "{report}");
    assert!(report["detail"].as_str().unwrap().contains("database \"no_such_database\" does not exist"), "{report}");
    assert_eq!(site.vps.bash("ls var/backups/site/dumps"), before);
    site.vps.bash("reported dump 108000 dump");
}

/// What the VPS has is here, too, and the report reaches the VPS.
pub(crate) fn pull_copies_everything(site: &Site) {
    site.offsite.bash("reported pull 10800 pull");
    let report = site.report("pull");
    assert_eq!(report["ok"], true, "{report}");
    assert!(report["detail"].as_str().unwrap().contains("newest backup 20"), "{report}");
    let list = "find . -type f ! -name '*.copy' ! -path './.*' | sort | xargs sha256sum";
    let there = site.vps.bash(&format!("cd var/backups/site; {list}"));
    let here = site.offsite.bash(&format!("cd copy; rm -rf replaced incoming; {list}"));
    assert_eq!(here, there);

    // A second time there is nothing to do.
    let again = site.offsite.bash("pull");
    assert!(again.starts_with("0 new files"), "{again}");
}

/// The pulling key reads one folder; the reporting one writes two files.
pub(crate) fn keys_open_nothing_else(site: &Site) {
    let before = site.vps.bash("find var/backups -type f | sort | xargs sha256sum");
    for attempt in [
        "$RSYNC_RSH $SOURCE rm -rf pgbackrest",
        "$RSYNC_RSH $SOURCE",
        "echo x >x; rsync x $SOURCE:dumps/",
        "mkdir -p empty; rsync -r --delete empty/ $SOURCE:pgbackrest/",
        "rsync $SOURCE:../../../etc/pgbackrest/conf.d/secret.conf stolen && test -e stolen",
        "rsync --remove-source-files -r $SOURCE:dumps/ taken/",
        "$REPORT_SSH $REPORT_TO cat /etc/passwd </dev/null",
        "echo PASSPHRASE | $REPORT_SSH $REPORT_TO 'cat >authorized_keys'",
        "timeout 20 $RSYNC_RSH -N -L 127.0.0.1:0:127.0.0.1:5432 -o ExitOnForwardFailure=yes $SOURCE",
    ] {
        let outcome = site.offsite.try_bash(attempt);
        assert_ne!(outcome.code, 0, "{attempt}\n{}", outcome.said);
    }
    assert_eq!(site.vps.bash("find var/backups -type f | sort | xargs sha256sum"), before);
}

/// The whole drill, with every check that it makes.
pub(crate) fn drill_passes_and_reports(site: &Site) {
    let mut log = Drill::begin("restore", COMMAND);
    let said = site.offsite.try_bash("reported restore-drill 777600 drill");
    log.done("reported restore-drill 777600 drill, on the offsite machine, from its copy alone");
    assert_eq!(said.code, 0, "{}", said.said);
    for step in [
        "verified the repository",
        "restored 20",
        "replayed the WAL",
        "checked tables and indexes",
        "rows in 4 tables",
        "checked the pages' checksums",
        "restored to 20",
    ] {
        assert!(said.said.contains(step), "{step} is missing:\n{}", said.said);
    }
    log.said(said.said.lines());
    let report = site.report("restore-drill");
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["good_for_seconds"], 777_600, "{report}");
    assert!(report["detail"].as_str().unwrap().contains("a restore now would lose 0 min"), "{report}");
    log.done("the report is at the VPS, for the health page");
    assert!(!site.offsite.path("scratch/data").exists(), "the scratch cluster stays");
    let rows = fs::read_to_string(site.offsite.path("drill/rows")).unwrap();
    assert!(
        rows.contains("makenotwork\tpublic.users\t5500\n") && rows.contains("forums\tpublic.posts\t3000\n"),
        "{rows}"
    );
    log.end();
}

/// What the second key brings is a report, or is refused.
pub(crate) fn reports_have_one_form(site: &Site) {
    let good = site.offsite.bash("cat var/lib/backups/reports/pull.json");
    let refused = [
        good.replace("\"pull\"", "\"backup\""),
        good.replace("\"pull\"", "\"../../x\""),
        good.replace("true", "\"yes\""),
        good.replace("\"detail\": \"", &format!("\"detail\": \"{}", "x".repeat(600))),
        format!("{}{good}", " ".repeat(5_000)),
        String::new(),
        "<html>".to_owned(),
    ];
    let before = site.vps.bash("sha256sum var/lib/backups/reports/*");
    for report in refused {
        fs::write(site.vps.path("report"), &report).unwrap();
        let outcome = site.vps.try_bash("receive <report");
        assert_eq!(outcome.code, 1, "{report}");
        assert!(outcome.said.contains("that is no report"), "{}", outcome.said);
    }
    assert_eq!(
        site.vps.bash("sha256sum var/lib/backups/reports/*; ls -A var/lib/backups/reports | wc -l"),
        format!("{before}4\n")
    );
    fs::write(site.vps.path("report"), good.replace("\"detail\"", "\"extra\": 1, \"detail\"")).unwrap();
    site.vps.bash("receive <report");
    assert!(site.report("pull").get("extra").is_none());
}
