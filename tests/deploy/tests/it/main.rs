//! Tests of what lies in `deploy/`, each against the real programs.

mod backups;
mod booted;
mod double;
mod files;
mod firewall;
mod first_boot;
mod journal;
mod monitoring;
mod package;
mod release;
mod roots;
mod running;
mod sbom;
mod vps;
mod worker;
mod zone;
