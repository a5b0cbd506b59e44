//! The command line, from outside: the real binary in a folder of its own, with an environment that is all known.

mod blame;
mod copies;
mod disk;
mod documents;
mod errors;
mod export;
mod find;
mod history;
mod import;
mod import_git;
mod log_changes;
mod output;
mod patches;
mod place;
mod repair;
mod restore;
mod save;
mod series;
mod shapes;
mod shells;
mod sql;
mod support;
mod watch;
