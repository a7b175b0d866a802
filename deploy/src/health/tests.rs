use std::collections::VecDeque;

use super::*;

fn hosts(counts: MinimumHealthyHostsType, value: u32) -> MinimumHealthyHosts {
    MinimumHealthyHosts { counts, value }
}

const COUNT: MinimumHealthyHostsType = MinimumHealthyHostsType::HostCount;
const PERCENT: MinimumHealthyHostsType = MinimumHealthyHostsType::FleetPercent;
const AT_A_TIME: MinimumHealthyHostsType = MinimumHealthyHostsType::MostConcurrency;

fn all_healthy(total: u32) -> Tally {
    Tally::of(Fleet {
        total,
        healthy_before: total,
        bystanders: 0,
    })
}

#[test]
fn the_minimum_and_what_goes_at_once_are_aws_examples() {
    for (rule_of, total, minimum, at_once) in [
        (hosts(COUNT, 6), 9, 6, 3),
        (hosts(PERCENT, 40), 9, 4, 5),
        (hosts(COUNT, 9), 10, 9, 1),
        (hosts(AT_A_TIME, 1), 10, 9, 1),
        (hosts(AT_A_TIME, 1), 1, 0, 1),
        (hosts(PERCENT, 50), 9, 5, 4),
        (hosts(PERCENT, 50), 10, 5, 5),
        (hosts(PERCENT, 50), 2, 1, 1),
        (hosts(PERCENT, 50), 1, 0, 1),
        (hosts(COUNT, 0), 7, 0, 7),
        (hosts(PERCENT, 0), 3, 0, 3),
    ] {
        let rule = rule(rule_of, total).unwrap();
        assert_eq!(
            (rule.minimum, rule.at_once_max),
            (minimum, at_once),
            "{rule_of:?} of {total}"
        );
    }
}

#[test]
fn rule_1_what_leaves_no_host_to_change_is_refused_before_anything_is_done() {
    for (rule_of, total, minimum) in [
        (hosts(PERCENT, 95), 10, 10),
        (hosts(COUNT, 10), 10, 10),
        (hosts(COUNT, 11), 10, 11),
        (hosts(COUNT, 1), 1, 1),
        (hosts(COUNT, 0), 0, 0),
    ] {
        assert_eq!(rule(rule_of, total), Err(Invalid { minimum, total }));
    }
}

/// How a deployment ended.
#[derive(Debug, PartialEq)]
struct Ended {
    is_met: bool,
    attempted: u32,
    most_at_once: u32,
    least_healthy: u32,
}

/// A deployment whose hosts were so and go so, in order; the oldest in progress is over first.
fn deploy(rule: HealthRule, fleet: Fleet, mut hosts: VecDeque<(Was, bool)>) -> Ended {
    let mut tally = Tally::of(fleet);
    let mut running: VecDeque<(Was, bool)> = VecDeque::new();
    let mut ended = Ended {
        is_met: false,
        attempted: 0,
        most_at_once: 0,
        least_healthy: u32::MAX,
    };
    loop {
        while let Some((was, goes_well)) = hosts.front().copied()
            && begin(rule, &tally, was) == Begin::Now
        {
            hosts.pop_front();
            tally.in_progress.add(was);
            running.push_back((was, goes_well));
            ended.attempted += 1;
        }
        ended.most_at_once = ended.most_at_once.max(tally.in_progress.all());
        ended.least_healthy = ended.least_healthy.min(tally.healthy());
        let Some((was, goes_well)) = running.pop_front() else {
            ended.is_met = hosts.is_empty() && is_met(rule, &tally);
            return ended;
        };
        tally.in_progress.take(was);
        let over = if goes_well {
            &mut tally.succeeded
        } else {
            &mut tally.failed
        };
        over.add(was);
    }
}

fn fleet(of: &[(Was, bool)]) -> Fleet {
    let healthy = of.iter().filter(|(was, _)| *was == Was::Healthy).count();
    Fleet {
        total: u32::try_from(of.len()).unwrap(),
        healthy_before: u32::try_from(healthy).unwrap(),
        bystanders: 0,
    }
}

fn run(rule_of: MinimumHealthyHosts, of: &str) -> Ended {
    // Upper case: was healthy. `o` goes well, `x` does not.
    let hosts: Vec<(Was, bool)> = of
        .chars()
        .map(|host| {
            let was = if host.is_uppercase() {
                Was::Healthy
            } else {
                Was::Unhealthy
            };
            (was, host.eq_ignore_ascii_case(&'o'))
        })
        .collect();
    let fleet = fleet(&hosts);
    deploy(rule(rule_of, fleet.total).unwrap(), fleet, hosts.into())
}

#[test]
fn whole_deployments_end_as_the_table_says() {
    let one = hosts(AT_A_TIME, 1);
    for (rule_of, of, is_met, attempted, at_once) in [
        // OneAtATime: all but possibly the last must go well.
        (one, "OOOOOOOOOO", true, 10, 1),
        (one, "OOOOOOOOOX", true, 10, 1),
        (one, "OOOXOOOOOO", false, 4, 1),
        (one, "X", false, 1, 1),
        (one, "O", true, 1, 1),
        // Rule 5: N=10, M=9, the tenth fails.
        (hosts(COUNT, 9), "OOOOOOOOOX", true, 10, 1),
        // Rule 4: the budget is spent and others were not begun.
        (hosts(COUNT, 6), "XXXOOOOOO", false, 3, 3),
        (hosts(COUNT, 6), "XOXOOOOOX", true, 9, 3),
        (hosts(COUNT, 6), "XXOOOOOXO", false, 8, 3),
        // HalfAtATime needs the half, rounded up.
        (hosts(PERCENT, 50), "XXXXOOOOO", false, 4, 4),
        (hosts(PERCENT, 50), "XXXOOOOOO", true, 9, 4),
        (hosts(PERCENT, 50), "OOOOOXXXX", true, 9, 4),
        // AllAtOnce needs one.
        (hosts(COUNT, 0), "XXXXO", true, 5, 5),
        (hosts(COUNT, 0), "XXXXX", false, 5, 5),
    ] {
        let ended = run(rule_of, of);
        assert_eq!(
            (ended.is_met, ended.attempted, ended.most_at_once),
            (is_met, attempted, at_once),
            "{rule_of:?} of {of}"
        );
    }
}

#[test]
fn rule_6_hosts_that_were_unhealthy_may_fail_and_lower_nothing() {
    // Five of ten are unhealthy, eight must be healthy: that alone fails nothing, and the five are deployed to.
    let mended = run(hosts(COUNT, 8), "oooooOOOOO");
    assert!(mended.is_met && mended.attempted == 10);
    assert_eq!(mended.least_healthy, 5);
    // Two of them stay unhealthy: eight are healthy, and no healthy one may be touched.
    let stuck = run(hosts(COUNT, 8), "oooxxOOOOO");
    assert_eq!((stuck.is_met, stuck.attempted), (false, 5));
    assert_eq!(stuck.least_healthy, 5);
    // With one less to keep the healthy ones follow, one at a time.
    let slow = run(hosts(COUNT, 7), "oooxxOOOOO");
    assert!(slow.is_met && slow.attempted == 10);
}

#[test]
fn healthy_hosts_never_fall_below_the_minimum_whatever_fails() {
    for total in 1..=9_u32 {
        for minimum in 0..total {
            for bits in 0..(1_u32 << total) {
                let of: String = (0..total)
                    .map(|at| if bits >> at & 1 == 0 { 'O' } else { 'X' })
                    .collect();
                let ended = run(hosts(COUNT, minimum), &of);
                assert!(
                    ended.least_healthy >= minimum,
                    "{minimum} of {of}: {ended:?}"
                );
            }
        }
    }
}

#[test]
fn a_window_slides_as_hosts_end() {
    let rule = rule(hosts(COUNT, 6), 9).unwrap();
    let mut tally = all_healthy(9);
    tally.in_progress.healthy = 3;
    assert_eq!(begin(rule, &tally, Was::Healthy), Begin::Later);
    tally.in_progress.healthy = 2;
    tally.succeeded.healthy = 1;
    assert_eq!(begin(rule, &tally, Was::Healthy), Begin::Now);
    tally.succeeded.healthy = 0;
    tally.failed.healthy = 1;
    assert_eq!(begin(rule, &tally, Was::Healthy), Begin::Later);
    tally.in_progress.healthy = 0;
    tally.failed.healthy = 3;
    assert_eq!(begin(rule, &tally, Was::Healthy), Begin::Never);
}

#[test]
fn in_a_zone_both_minimums_hold() {
    let fleet_rule = rule(hosts(PERCENT, 50), 12).unwrap();
    let zone_rule = rule(hosts(COUNT, 3), 4).unwrap();
    let (mut fleet, mut zone) = (all_healthy(12), all_healthy(4));
    let ask = |fleet: &Tally, zone: &Tally| {
        begin_in_zone((fleet_rule, fleet), Some((zone_rule, zone)), Was::Healthy)
    };
    assert_eq!(ask(&fleet, &zone), Begin::Now);
    zone.in_progress.healthy = 1;
    fleet.in_progress.healthy = 1;
    assert_eq!(ask(&fleet, &zone), Begin::Later);
    zone.in_progress.healthy = 0;
    zone.failed.healthy = 1;
    assert_eq!(ask(&fleet, &zone), Begin::Never);
    zone.failed.healthy = 0;
    fleet.in_progress.healthy = 0;
    fleet.failed.healthy = 6;
    assert_eq!(ask(&fleet, &zone), Begin::Never);
}

#[test]
fn hosts_that_are_not_changed_count_but_one_that_is_must_go_well() {
    let rule = rule(hosts(COUNT, 5), 10).unwrap();
    let mut tally = all_healthy(10);
    tally.fleet.bystanders = 7;
    tally.failed.healthy = 3;
    assert!(!is_met(rule, &tally));
    tally.failed.healthy = 2;
    tally.succeeded.healthy = 1;
    assert!(is_met(rule, &tally));
}
