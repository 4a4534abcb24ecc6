//! The tests that run on systemd 257 without `--full`: those for which the versions differ.

/// Names of tests, each with the difference on 257.
pub const TRIXIE: &[(&str, &str)] = &[
    (
        "choice::the_administrator_chooses_between_services_that_conflict",
        "it resolves jobs that conflict at the boot in another order",
    ),
    (
        "choice::to_stop_the_slice_waits_for_every_process",
        "it queues and merges the stop jobs of a slice differently",
    ),
    (
        "deploy::a_first_deploy_is_healthy_and_a_repeat_does_nothing",
        "its unit parser must accept every directive without a warning",
    ),
    (
        "shapes::every_shape_works_at_its_floor",
        "it enforces more of the sandbox (PrivateUsers=, ProtectControlGroups=) and scores it differently",
    ),
    (
        "shapes::the_sandbox_blocks_what_it_forbids",
        "it enforces the sandbox with newer system calls and BPF programs",
    ),
    (
        "attacks::the_sandbox_holds_what_a_service_tries",
        "it mounts other directories in the sandbox and filters other system calls",
    ),
    (
        "own_directories::a_service_cannot_prevent_its_next_start",
        "it creates the directories of a service in another process",
    ),
    (
        "builds::a_build_has_a_sandbox",
        "its systemd-run takes other names of properties, and it filters other system calls",
    ),
    (
        "probe::each_directive_that_is_switched_off_is_found",
        "it enforces `SocketBindDeny=`, and denies executable memory with another error",
    ),
    (
        "networks::a_service_reaches_only_the_addresses_that_it_may",
        "it enforces `SocketBindDeny=`, and applies filters of addresses differently",
    ),
    (
        "networks::only_listed_clients_can_connect",
        "it applies a changed filter of a socket only when the socket starts",
    ),
    (
        "values::arbitrary_values_arrive_byte_for_byte",
        "it parses quotes, specifiers and environment files differently",
    ),
    (
        "targets::portable_units_are_confined_on_every_version",
        "portable units may use only what every version knows",
    ),
    (
        "package::the_package_is_installed_used_removed_and_purged",
        "dpkg, apt and the system library are newer",
    ),
    (
        "handover::open_connections_drain_in_their_sandbox",
        "its scopes and private /tmp have other rules",
    ),
    (
        "handover::connections_through_the_proxy_drain",
        "it shares network namespaces between units differently",
    ),
    (
        "handover::a_handover_that_is_killed_loses_nothing",
        "it watches main processes by their descriptors",
    ),
    (
        "overlap::no_request_is_lost_in_upgrades_and_rollbacks",
        "another manager passes sockets and file descriptors",
    ),
    (
        "crash::a_change_cut_by_power_loss_is_recovered_before_services_start",
        "it orders units differently at boot",
    ),
    (
        "rollback::a_rollback_restores_code_units_and_timers",
        "it reloads units and timers in another order",
    ),
    (
        "remove::remove_and_purge_leave_nothing",
        "it keeps other files for a unit",
    ),
    (
        "edge_cases::causes_of_failures_are_named",
        "its results have other names and numbers",
    ),
    (
        "findings::each_fault_is_found_and_the_printed_commands_fix_it",
        "`systemctl` prints other properties",
    ),
    (
        "builds::a_build_stops_with_its_robotctl",
        "it tracks the processes of a transient unit differently",
    ),
    (
        "upgrades::gunicorn_loses_nothing",
        "Gunicorn 23 inherits its sockets by itself, unlike 20.1",
    ),
];
