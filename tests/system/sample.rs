//! What runs on systemd 257 without `--full`: where the versions differ.

/// Names of tests, each with what is different on 257.
pub const TRIXIE: &[(&str, &str)] = &[
    (
        "deploy::first_deploy_is_healthy_and_repeats_as_nothing",
        "its unit parser must accept every directive without a word",
    ),
    (
        "shapes::every_shape_works_at_its_floor",
        "it enforces more of the sandbox (PrivateUsers=, ProtectControlGroups=) and scores it differently",
    ),
    (
        "shapes::sandbox_bites",
        "it enforces the sandbox with newer system calls and BPF programs",
    ),
    (
        "values::arbitrary_values_arrive_byte_for_byte",
        "it has another parser of quotes, specifiers and environment files",
    ),
    (
        "targets::portable_units_keep_their_promises_on_every_version",
        "units for every version may use nothing that only one of them knows",
    ),
    (
        "package::it_is_installed_used_removed_and_purged",
        "dpkg, apt and the system library are newer",
    ),
    (
        "overlap::no_request_is_lost_in_upgrades_and_rollbacks",
        "sockets and file descriptors pass through another manager",
    ),
    (
        "crash::power_cut_in_a_change_is_ended_before_services_start",
        "units are ordered anew at boot",
    ),
    (
        "rollback::rollback_brings_back_code_units_and_timers",
        "it reloads units and timers in another order",
    ),
    (
        "remove::remove_and_purge_leave_nothing",
        "it keeps other files of its own for a unit",
    ),
    (
        "traps::causes_are_named_with_what_to_do",
        "it words and numbers its results differently",
    ),
    (
        "doctor::each_fault_is_found_with_its_hint",
        "`systemctl` prints other properties",
    ),
    (
        "builds::a_build_ends_with_its_robotctl",
        "it tracks the processes of a transient unit differently",
    ),
    (
        "upgrades::gunicorn_loses_nothing",
        "Gunicorn 23 takes its sockets over itself, which 20.1 does not",
    ),
];
