//! The I/O boundary: the only module that reads and writes files, runs programs, reads the clock and
//! talks to systemd.
//!
//! `clippy.toml` refuses those calls in other modules. Paths are relative to a [`Root`], so that
//! `--root DIR` works for all of them and links in that tree do not lead to the running host.
//!
//! | part | files |
//! |---|---|
//! | where `/` is, atomic writes | `root`, `resolve`, `batch`, `prepared_file`, `temp`, `remove`, `flush`, `disk`, `mountinfo`, `attributes`, `tmpfiles`, `move_aside`, `foreign_directory`, `lock`, `last_change` |
//! | files by their real paths | `files`, `private_copy`, `trusted_file`, `carry`, `word_search`, `work_dir` |
//! | systemd | `systemd`, `policy`, `journald`, `journalctl`, `journal_entry`, `activation`, `dummy_process`, `private_tmp` |
//! | processes | `runner`, `process`, `process_start`, `process_table`, `running_release`, `program_file`, `inspect`, `exec`, `cgroup`, `oom`, `signals`, `environment`, `logged_calls`, `confined` |
//! | network | `connect`, `stream`, `sockets`, `port_holder`, `network` |
//! | sandboxes | `attempts`, `facilities`, `landmarks` |
//! | users and groups | `accounts`, `group_access`, `write_access` |
//! | a person at a terminal | `terminal`, `secret_input` |
//! | time | `clock` |

#![expect(
    clippy::disallowed_methods,
    reason = "this module makes the calls that the lint refuses elsewhere"
)]

mod accounts;
mod activation;
mod attached;
mod attempts;
mod attributes;
mod batch;
mod caller;
mod carry;
mod cgroup;
mod clock;
mod confined;
mod connect;
mod disk;
mod dummy_process;
mod environment;
mod exec;
mod facilities;
pub mod files;
mod flush;
mod foreign_directory;
mod git;
mod group_access;
pub mod inspect;
mod journal_entry;
mod journalctl;
pub mod journald;
mod landmarks;
mod last_change;
mod lock;
mod logged_calls;
mod mountinfo;
mod move_aside;
mod network;
mod oom;
mod policy;
mod port_holder;
mod prepared_file;
mod private_copy;
mod private_tmp;
mod process;
mod process_start;
mod process_table;
mod program_file;
mod protect;
mod real_path;
mod remote_mounts;
mod remove;
mod resolve;
mod root;
mod runner;
mod running_release;
mod secret_input;
mod signals;
mod silent_path;
mod small_file;
mod sockets;
mod stream;
mod systemd;
mod temp;
mod terminal;
mod tmpfiles;
mod trusted_file;
mod word_search;
mod work_dir;
mod write_access;

pub use accounts::{Member, User, user_ids, user_name};
pub use activation::{ActivatedSockets, notify_ready, notify_stopping};
pub use attached::attached;
pub use attempts::{attempt_all, attempt_command, attempt_each, is_attempt, notify_attempts};
pub use attributes::Protected;
pub use batch::Batch;
pub use caller::caller;
pub use carry::{Carry, carry};
pub use cgroup::{
    MissingFilters, group_in_unit, has_controller, has_inner_groups, is_in_unit, members,
    members_of, members_with, memory_available, memory_of, oom_kills, runs_its_own_process,
};
pub use clock::{Deadline, Stopwatch, nanoseconds, now, pause, stamp, wait_until};
pub use confined::{ConfinedProcess, confine};
pub use connect::Connection;
pub use dummy_process::{replace_main_process, start_dummy_processes};
pub use environment::{
    is_root, node_name, random_hex, set_standard_umask, variable, working_directory,
};
pub use exec::become_program;
pub use facilities::{
    no_mounts, no_proc_options, no_system_call_filter, no_user_namespaces, restricted_systemd,
};
pub use files::{read_user_bytes, read_user_file};
pub use flush::Flush;
pub use foreign_directory::ForeignDirectory;
pub use git::{Checkout, checkout_of, commit_time_of};
pub use group_access::is_without_lists;
pub use journal_entry::{JournalEntry, can_read_journal, read_journal};
pub use landmarks::{
    directory_inode, host_addresses, listen_in_host_network, namespace_inode, unusual_devices,
};
pub use lock::{Holder, Lock, LockError};
pub use logged_calls::{logged_calls, logs_system_calls};
pub use move_aside::{Obstacle, nested_directories};
pub use network::in_network_of;
pub use oom::has_killed_for_host;
pub use port_holder::{PortHolder, PortUse, listens_for};
pub use private_copy::{InheritedFile, PrivateCopy};
pub use private_tmp::{keep_private_tmp, remove_kept_tmp};
pub use process::{
    Process, ProcessIdentity, SYSTEMD_PID, Signal, has_ended, is_running, pid, processes,
};
pub use process_start::{environment_of, start_of, ticks_since_boot};
pub use process_table::{ProcessOrigin, command_of, process_origins};
pub use program_file::{ElfFile, ProgramFile, has_other_formats, own_architectures};
pub use protect::{let_only_root_read, let_only_root_write};
pub use real_path::{
    absolute, is_link_error, open_without_links, read_user_file_without_links, real_path,
};
pub use remote_mounts::RemoteMounts;
pub use root::{Meta, Root};
pub use runner::{Command, MissingProgram, Output, is_installed};
pub use running_release::{Undetermined, release_of, release_of_unit};
pub use secret_input::{SecretInput, protect_memory, read_secret_input};
pub use signals::{SignalGuard, defer_signals, interrupted, interruptible};
pub use sockets::{
    Binding, ListeningSocket, addresses_of, connections, free_port, holders_by_socket,
    is_ipv6_only, is_taken, listening_sockets, socket_owner,
};
pub use stream::Stream;
pub use systemd::{
    ActiveState, Checked, Cleanup, Drain, Killed, LoadState, MainExit, PHASES, Phase, PhaseRow,
    PlannedAs, Reported, RunEvent, RunEventKind, RunLog, STATES, Scope, StateRow, Systemd, UnitJob,
    UnitResult, UnitStatus, Verb, end_of_scope,
};
pub use temp::temp_target;
pub use terminal::{is_output_closed, terminal_columns};
pub use tmpfiles::Mismatch;
pub use trusted_file::Trusted;
pub use word_search::absent_words;
pub use work_dir::WorkDir;
pub use write_access::{Account, Unwritable};

use std::path::Path;

/// The host that a command works on.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where `/` is.
    pub root: Root,
    /// The service manager: running, or absent for a directory tree.
    pub systemd: Systemd,
}

impl Host {
    /// The running host, or the directory tree at `dir`. The path may be relative and may contain `..`
    /// and symbolic links. It need not exist.
    pub fn new(dir: Option<&Path>) -> Self {
        let root = Root::normalized(dir.unwrap_or(Path::new("/")));
        Self {
            systemd: Systemd::new(!root.is_host()),
            root,
        }
    }

    /// The same files, without the service manager: nothing is started or stopped.
    #[must_use]
    pub fn without_services(self) -> Self {
        Self {
            systemd: Systemd::new(true),
            root: self.root,
        }
    }

    /// Whether a package may start services now: systemd runs, and policy-rc.d does not forbid it.
    pub fn may_start_services(&self) -> bool {
        self.systemd.is_booted() && !policy::forbids_services()
    }

    /// Whether this is a directory tree and not the running host.
    pub fn is_offline(&self) -> bool {
        self.systemd.is_offline()
    }
}
