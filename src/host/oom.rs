//! What the log of the kernel says about processes that it killed because memory ran out.

use super::journalctl::journalctl;

/// How far back to look, as journalctl(1) takes it.
const SINCE: &str = "--since=-10min";
/// How the line begins that says which process was chosen, and why (`dump_oom_summary` of the kernel).
const MARK: &str = "oom-kill:";

/// Whether the kernel has killed a process of a unit within the last minutes because the memory of the host,
/// or that of a slice, was used up, and not that of the unit.
pub fn has_killed_for_host(unit: &str) -> bool {
    let args = ["--dmesg", "--output=cat", SINCE];
    let text = journalctl(args.map(str::to_owned));
    text.lines().any(|line| is_killed_for_host(line, unit))
}

fn is_killed_for_host(line: &str, unit: &str) -> bool {
    let Some((_, facts)) = line.split_once(MARK) else {
        return false;
    };
    let value = |name: &str| {
        let mut facts = facts.split(',');
        facts.find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='))
    };
    let has_unit = |group: &str| group.split('/').any(|part| part == unit);
    let is_of_unit = value("task_memcg").is_some_and(has_unit);
    // The group whose limit was reached. Without one, it was the memory of the host.
    let is_own_limit = value("oom_memcg").is_some_and(has_unit);
    is_of_unit && !is_own_limit
}

#[cfg(test)]
mod tests {
    use super::is_killed_for_host;

    #[test]
    fn the_limit_that_was_reached_says_whose_fault_it_is() {
        const UNIT: &str = "shop-web.service";
        let task = "task_memcg=/system.slice/shop-web.service,task=web,pid=7,uid=999";
        let host = format!(
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,{task}"
        );
        let limit = |group: &str| {
            format!(
                "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg={group},{task}"
            )
        };
        assert!(is_killed_for_host(&host, UNIT));
        assert!(is_killed_for_host(&limit("/system.slice"), UNIT));
        assert!(!is_killed_for_host(
            &limit("/system.slice/shop-web.service"),
            UNIT
        ));
        assert!(!is_killed_for_host(
            &limit("/system.slice/shop-web.service/worker"),
            UNIT
        ));
        assert!(!is_killed_for_host(&host, "shop-api.service"));
        assert!(!is_killed_for_host(
            "Out of memory: Killed process 7 (web)",
            UNIT
        ));
    }
}
