//! Paths that scanners ask everybody for. The same table makes the zone's rules (`zone.rs`).

use super::Managed;
use super::scan::{after, has, is_word};

/// Folders of version control: nothing below them is served.
pub(super) const VCS: &[&str] = &[".git", ".svn", ".hg", ".bzr", "cvs"];

/// Files and folders of a server's that begin with a dot.
pub(super) const DOTFILES: &[&str] = &[
    ".env",
    ".htaccess",
    ".htpasswd",
    ".aws",
    ".ssh",
    ".ds_store",
    ".vscode",
    ".idea",
    ".docker",
    ".dockercfg",
    ".npmrc",
    ".pypirc",
    ".netrc",
    ".bash_history",
    ".bashrc",
    ".profile",
    ".kube",
    ".mysql_history",
    ".psql_history",
    ".git-credentials",
    ".gitconfig",
    ".s3cfg",
    ".boto",
    ".terraform",
    ".travis.yml",
    ".circleci",
    ".config",
    ".cache",
    ".gnupg",
    ".well-known.bak",
];

/// What the first or second segment of other programs' admin panels begins with.
pub(super) const ADMIN: &[&str] = &[
    "wp-admin",
    "wp-login",
    "wp-includes",
    "wp-content",
    "wp-json",
    "wp-config",
    "xmlrpc.php",
    "phpmyadmin",
    "phppgadmin",
    "pma",
    "myadmin",
    "mysqladmin",
    "dbadmin",
    "adminer",
    "administrator",
    "cpanel",
    "webmail",
    "roundcube",
    "jenkins",
    "manager",
    "solr",
    "actuator",
    "jmx-console",
    "web-console",
    "invoker",
    "drupal",
    "joomla",
    "magento",
    "typo3",
    "grafana",
    "kibana",
    "zabbix",
    "nagios",
    "sitecore",
    "umbraco",
    "owa",
    "ecp",
    "autodiscover",
    "remote",
    "dana-na",
    "sdk",
];

/// Those of them that are words, too: only as these whole paths' beginnings.
pub(super) const ADMIN_BELOW: &[(&str, &[&str])] = &[
    ("administrator", &["index.php", "manifests", "components", "language"]),
    ("jenkins", &["login", "script"]),
    ("manager", &["html", "text", "status"]),
    ("solr", &["admin"]),
    (
        "actuator",
        &["env", "health", "heapdump", "gateway", "mappings", "beans", "configprops", "logfile", "trace", "httptrace"],
    ),
    ("invoker", &["jmxinvokerservlet", "ejbinvokerservlet", "readonly"]),
    ("drupal", &["user", "core", "install.php"]),
    ("joomla", &["administrator"]),
    ("magento", &["admin", "index.php"]),
    ("typo3", &["index.php", "install"]),
    ("webmail", &["program", "src", "index.php"]),
    ("roundcube", &["program", "index.php", "installer"]),
    ("grafana", &["login", "public", "api"]),
    ("kibana", &["app"]),
    ("zabbix", &["index.php", "jsrpc.php"]),
    ("nagios", &["cgi-bin"]),
    ("sitecore", &["shell", "login"]),
    ("umbraco", &["webservices", "backoffice"]),
    ("owa", &["auth", ""]),
    ("ecp", &["current", "default.aspx", "proxylogon.ecp"]),
    ("autodiscover", &["autodiscover.json", "autodiscover.xml"]),
    ("remote", &["fgt_lang", "login"]),
    ("sdk", &["weblanguage", "vimserviceversions.xml"]),
    ("cpanel", &["login"]),
    ("pma", &["index.php", ""]),
];

/// What a path ends in, or has in it, that only asks for a known hole.
pub(super) const EXPLOIT: &[&str] = &[
    "/vendor/phpunit/",
    "/phpunit/src/util/php/",
    "/eval-stdin.php",
    "/cgi-bin/",
    "/boaform/",
    "/gponform/",
    "/hnap1",
    "/setup.cgi",
    "/shell.php",
    "/cmd.php",
    "/c99.php",
    "/r57.php",
    "/wso.php",
    "/alfa.php",
    "/webshell",
    "/phpinfo.php",
    "/info.php",
    "/php.ini",
    "/server-status",
    "/server-info",
    "/_profiler/",
    "/_ignition/execute-solution",
    "/telescope/requests",
    "/console/login/loginform.jsp",
    "/struts2-showcase",
    "/solr/admin/",
    "/druid/index.html",
    "/_cat/indices",
    "/_all_dbs",
    "/elfinder/",
    "/filemanager/",
    "/fckeditor/",
    "/ckfinder/",
    "/kcfinder/",
    "/uploadify/",
    "/thinkphp",
    "/crossdomain.xml.bak",
    "/composer.lock.bak",
    "/global-protect/",
    "/geoserver/",
    "/v2/_catalog",
    "/debug/default/view",
    "/debug/pprof/",
    "/telerik.web.ui",
    "/trace.axd",
    "/elmah.axd",
    "/web.config",
    "/appsettings.json",
    "/application.properties",
    "/application.yml",
    "/id_rsa",
    "/id_dsa",
    "/id_ed25519",
    "/credentials.json",
    "/docker-compose.yml",
];

/// Archives and dumps of a whole site, in its root.
const BACKUP_NAMES: &[&str] = &[
    "backup",
    "backups",
    "bak",
    "dump",
    "db",
    "database",
    "site",
    "www",
    "wwwroot",
    "web",
    "website",
    "public_html",
    "htdocs",
    "html",
    "mysql",
    "sql",
    "data",
    "old",
    "archive",
    "localhost",
    "app",
    "code",
    "src",
    "source",
    "release",
];
const BACKUP_KINDS: &[&str] = &[
    "zip", "tar", "tar.gz", "tgz", "rar", "7z", "gz", "bz2", "sql", "sql.gz", "sql.zip", "bak", "sqlite", "db", "dump",
    "mdb",
];
/// What editors and people leave behind of a file.
const BACKUP_ENDS: &[&str] = &[".bak", ".old", ".orig", ".swp", ".save", ".copy", ".backup", ".tmp", "~", ".1"];
const CODE: &[&str] = &[
    ".php",
    ".asp",
    ".aspx",
    ".jsp",
    ".inc",
    ".py",
    ".rb",
    ".cgi",
    ".config",
    ".conf",
    ".cfg",
    ".ini",
    ".yml",
    ".yaml",
    ".env",
    ".htaccess",
    ".json",
    ".xml",
    ".properties",
];

/// What a path probes for.
pub(super) fn judge(path: &[u8]) -> Option<(Managed, u8)> {
    let path = core::str::from_utf8(path).ok()?;
    let mut segments = path.split('/').skip(1).peekable();
    let mut place = 0;
    while let Some(segment) = segments.next() {
        // A forge's page of somebody's file.
        if place > 1 && matches!(segment, "raw" | "blob" | "tree" | "blame" | "commits") && segments.peek().is_some() {
            return None;
        }
        let last = segments.peek().is_none();
        if (segment.starts_with('.') || segment == "cvs")
            && let Some(found) = dotted(segment, last, segments.peek().copied())
        {
            return Some((found, 8));
        }
        if place < 2 && admin(segment, segments.peek().copied()) {
            return Some((Managed::ProbeAdmin, 7));
        }
        if last && backup(segment, place) {
            return Some((Managed::ProbeBackup, 7));
        }
        place += 1;
    }
    exploit(path).then_some((Managed::ProbeExploit, 7))
}

fn dotted(segment: &str, last: bool, below: Option<&str>) -> Option<Managed> {
    if VCS.contains(&segment) {
        // `CVS` alone may be somebody's page.
        let sure = segment.starts_with('.') || matches!(below, Some("entries" | "root" | "repository"));
        return sure.then_some(Managed::ProbeVcs);
    }
    let known = DOTFILES.iter().any(|name| {
        segment.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty()
                || (last
                    && rest.starts_with(['.', '~', '_'])
                    && !matches!(rest, ".example" | ".sample" | ".template" | ".dist"))
        })
    });
    known.then_some(Managed::ProbeDotfile)
}

fn admin(segment: &str, below: Option<&str>) -> bool {
    let word = |name: &str| ADMIN_BELOW.iter().find(|(known, _)| *known == name).map(|(_, below)| *below);
    ADMIN.iter().any(|name| match word(name) {
        Some(known) => segment == *name && below.is_some_and(|below| known.contains(&below)),
        None => segment
            .strip_prefix(name)
            .is_some_and(|rest| !rest.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) || *name == "phpmyadmin"),
    })
}

fn backup(name: &str, place: usize) -> bool {
    if place == 0
        && let Some((stem, kind)) = name.split_once('.')
        && BACKUP_NAMES.contains(&stem)
        && BACKUP_KINDS.contains(&kind)
    {
        return true;
    }
    let Some(stem) = BACKUP_ENDS.iter().find_map(|end| name.strip_suffix(end)) else { return false };
    CODE.iter().any(|kind| stem.ends_with(kind))
        || matches!(stem, "index" | "config" | "settings" | "database" | "wp-config" | "web")
}

fn exploit(path: &str) -> bool {
    let text = path.as_bytes();
    let slashes = text.iter().enumerate().take(48).filter(|(_, byte)| **byte == b'/').map(|(at, _)| after(text, at));
    let hit = slashes.into_iter().any(|rest| {
        EXPLOIT.iter().any(|known| {
            rest.strip_prefix(known.as_bytes()).is_some_and(|tail| {
                known.ends_with('/') || tail.first().is_none_or(|byte| !is_word(*byte) && *byte != b'-')
            })
        })
    });
    hit || (path.ends_with(".php") && has(text, b"/wp-"))
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn what_scanners_ask_for() {
        for path in [
            "/.git/config",
            "/.git",
            "/app/.svn/entries",
            "/.env",
            "/.env.production",
            "/api/.env",
            "/.aws/credentials",
            "/wp-admin/",
            "/wp-login.php",
            "/blog/wp-login.php",
            "/phpmyadmin/index.php",
            "/phpMyAdmin-5.1/".to_ascii_lowercase().as_str(),
            "/xmlrpc.php",
            "/actuator/env",
            "/vendor/phpunit/phpunit/src/util/php/eval-stdin.php",
            "/cgi-bin/test.cgi",
            "/backup.zip",
            "/db.sql",
            "/config.php.bak",
            "/index.php~",
            "/server-status",
            "/id_rsa",
        ] {
            assert!(judge(path.as_bytes()).is_some(), "{path}");
        }
    }

    #[test]
    fn what_visitors_ask_for() {
        for path in [
            "/",
            "/.well-known/acme-challenge/x",
            "/.well-known/security.txt",
            "/git/x/raw/main/.gitignore",
            "/git/x.git/info/refs",
            "/@you/posts/why-wp-admin-is-bad",
            "/manager",
            "/administrator",
            "/p/site/backup.zip",
            "/p/notes.md",
            "/docs/actuator",
            "/remote",
            "/@cvs",
            "/cvs",
            "/d/.emacs",
            "/sdk",
            "/solr-energy",
            "/p/id_rsa_explained",
            "/wpm-lab",
        ] {
            assert!(judge(path.as_bytes()).is_none(), "{path} {:?}", judge(path.as_bytes()));
        }
    }
}
