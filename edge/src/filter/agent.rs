//! Programs that name themselves attack tools in `User-Agent`. Clients that people and feeds use (curl, python-requests, …) are none.

use super::Managed;
use super::scan::{after, is_word};

/// What their names have in them.
pub(super) const SCANNERS: &[&str] = &[
    "sqlmap",
    "nikto",
    "nuclei",
    "masscan",
    "zgrab",
    "acunetix",
    "nessus",
    "openvas",
    "wpscan",
    "dirbuster",
    "gobuster",
    "feroxbuster",
    "dirsearch",
    "fuzz faster u fool",
    "wfuzz",
    "havij",
    "netsparker",
    "w3af",
    "skipfish",
    "jaeles",
    "nmap scripting engine",
    "nmap nse",
    "whatweb",
    "joomscan",
    "jorgee",
    "zmeu",
    "morfeus",
    "muieblackcat",
    "xsstrike",
    "l9explore",
    "l9tcpid",
    "struts-pwn",
    "blackwidow",
    "projectdiscovery",
    "fimap",
    "grendel-scan",
    "webinspect",
    "owasp zap",
    "bsqlbf",
    "webshag",
    "cgichk",
    "n-stealth",
    "sqlninja",
    "sqlsus",
    "toata dragostea",
    "datacha0s",
    "core-project/1.0",
    "wprecon",
    "mozilla/4.0 (hydra)",
    "burp suite",
    "burpcollaborator",
    "appscan",
    "qualysguard",
    "vega/1.",
    "sysscan",
    "webtrends security analyzer",
    "paros/",
    "python-nmap",
    "mysqloit",
    "uil2pn",
    "prog.customcrawler",
    "whcc/",
    "gootkit",
    "pmafind",
    "springenwerk",
    "goby/",
    "hello, world",
];

/// Whether the agent is one of them.
pub(super) fn judge(agent: &[u8]) -> Option<(Managed, u8)> {
    let mut before = b' ';
    for (at, byte) in agent.iter().enumerate() {
        // A name begins where a word does.
        if !is_word(before)
            && SCANNERS
                .iter()
                .any(|name| name.as_bytes().first() == Some(byte) && after(agent, at).starts_with(name.as_bytes()))
        {
            return Some((Managed::AgentScanner, 8));
        }
        before = *byte;
    }
    None
}
