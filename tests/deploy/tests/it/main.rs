//! Tests of what lies in `deploy/`, each against the real programs.

mod backups;
mod files;
mod firewall;
mod monitoring;
mod package;
mod release;
mod vps;
mod zone;
