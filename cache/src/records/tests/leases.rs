use super::*;
use crate::records::SKEW_MS;
use crate::records::lease::{Lease, LeaseKind, Leases, TTL_MS_MAX, Taking, live_leases};
use crate::records::name::leases_folder;

const START: u64 = 1_800_000_000_000;
const TTL: u64 = 600_000;

fn root(list: &[u8]) -> Outcome {
    Outcome::Content {
        size_bytes: 4,
        chunks: vec![Id::of(list)],
    }
}

fn objects() -> Objects {
    Objects::new(Arc::new(InMemory::new()))
}

fn taking(ttl_ms: u64) -> Taking {
    Taking {
        now: at(START),
        ttl_ms,
        kind: LeaseKind::Save,
        roots: vec![root(b"tree")],
        unique: [7; 16],
    }
}

fn live(objects: &Objects, now: u64) -> Leases {
    live_leases(objects, at(now)).unwrap()
}

#[test]
fn a_lease_holds_for_its_ttl_and_is_respected_for_ten_minutes_more() {
    let objects = objects();
    let lease = Lease::take(&objects, taking(TTL)).unwrap();
    assert!(lease.is_valid(at(START + TTL)) && !lease.is_valid(at(START + TTL + 1)));
    let leases = live(&objects, START + TTL + SKEW_MS);
    let terms = leases.live[0].terms.as_ref().unwrap();
    assert_eq!(leases.live[0].name, *lease.name());
    assert_eq!(
        (terms.kind, &terms.roots),
        (LeaseKind::Save, &vec![root(b"tree")])
    );
    let leases = live(&objects, START + TTL + SKEW_MS + 1);
    assert_eq!(
        (leases.live, leases.ended),
        (vec![], vec![lease.name().clone()])
    );
}

#[test]
fn renewing_makes_a_lease_hold_longer_and_name_more() {
    let objects = objects();
    let mut lease = Lease::take(&objects, taking(TTL)).unwrap();
    lease.renew(at(START + TTL)).unwrap();
    lease
        .renew_with(at(START + 2 * TTL), &[root(b"more")])
        .unwrap();
    assert!(lease.is_valid(at(START + 3 * TTL)));
    let leases = live(&objects, START + 3 * TTL + SKEW_MS);
    let terms = leases.live[0].terms.as_ref().unwrap();
    assert_eq!(terms.roots, [root(b"tree"), root(b"more")]);
    assert_eq!(terms.expires, at(START + 3 * TTL));
}

#[test]
fn an_expired_lease_cannot_be_renewed() {
    let mut lease = Lease::take(&objects(), taking(TTL)).unwrap();
    let error = lease.renew(at(START + TTL + 1)).unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[test]
fn a_clock_set_back_does_not_make_a_lease_hold_longer_than_the_sweeper_allows_for() {
    let lease = Lease::take(&objects(), taking(TTL)).unwrap();
    assert!(lease.is_valid(at(START - SKEW_MS)));
    assert!(!lease.is_valid(at(START - SKEW_MS - 1)));
}

#[test]
fn a_released_lease_is_gone() {
    let objects = objects();
    let lease = Lease::take(&objects, taking(TTL)).unwrap();
    lease.release().unwrap();
    assert_eq!(live(&objects, START), Leases::default());
}

#[test]
fn no_lease_holds_for_more_than_a_day_or_names_too_much() {
    let objects = objects();
    assert!(Lease::take(&objects, taking(TTL_MS_MAX)).is_ok());
    assert!(matches!(
        Lease::take(&objects, taking(TTL_MS_MAX + 1)),
        Err(Error::Lease { .. })
    ));
    let greedy = Taking {
        roots: vec![root(b"x"); 20_000],
        ..taking(TTL)
    };
    assert!(matches!(
        Lease::take(&objects, greedy),
        Err(Error::Lease { .. })
    ));
}

#[test]
fn a_lease_that_cannot_be_read_protects_everything_until_a_day_after_its_name() {
    let good = {
        let objects = objects();
        let lease = Lease::take(&objects, taking(TTL)).unwrap();
        objects.get(lease.name(), 1 << 20).unwrap().to_vec()
    };
    let sealed = |json: &str| format!("{}\n{json}", Id::of(json.as_bytes())).into_bytes();
    let for_years = sealed(
        "{\"croftLease\":2,\"kind\":\"save\",\"renewed\":1,\"expires\":9999999999,\"roots\":[]}",
    );
    let of_the_future =
        sealed("{\"croftLease\":3,\"kind\":\"save\",\"renewed\":1,\"expires\":2,\"roots\":[]}");
    let spoilt = [
        Vec::new(),
        good[..good.len() - 1].to_vec(),
        [&good[..64], b"\n{}"].concat(),
        vec![0; 2 << 20],
        for_years,
        of_the_future,
    ];
    for bytes in spoilt {
        let objects = objects();
        let lease = Lease::take(&objects, taking(TTL)).unwrap();
        objects.put(lease.name(), bytes).unwrap();
        let end = START + TTL_MS_MAX + SKEW_MS;
        let leases = live(&objects, end);
        assert_eq!((leases.live.len(), &leases.live[0].terms), (1, &None));
        assert_eq!(live(&objects, end + 1).ended, vec![lease.name().clone()]);
    }
}

#[test]
fn what_no_croft_named_is_no_lease() {
    let objects = objects();
    let names = [
        "x",
        "0123456789ab-0",
        "0123456789AB-00000000000000000000000000000000",
        "zz-",
    ];
    for name in names {
        objects
            .put(&leases_folder().join(name), b"{}".to_vec())
            .unwrap();
    }
    let leases = live(&objects, START);
    assert_eq!(
        (leases.live.len(), leases.ended.len(), leases.strange.len()),
        (0, 0, names.len())
    );
}

#[test]
fn a_lease_from_the_future_is_respected_and_shown() {
    let objects = objects();
    let far = Taking {
        now: at(START + 1_000 * TTL_MS_MAX),
        ..taking(TTL)
    };
    let ahead = Lease::take(&objects, far).unwrap();
    let skewed = Taking {
        now: at(START + SKEW_MS),
        unique: [8; 16],
        ..taking(TTL)
    };
    Lease::take(&objects, skewed).unwrap();
    let leases = live(&objects, START);
    assert_eq!(leases.live.len(), 2);
    assert_eq!(leases.ahead, [ahead.name().clone()]);
    let warnings = leases.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains(ahead.name().as_ref()),
        "{warnings:?}"
    );
}
