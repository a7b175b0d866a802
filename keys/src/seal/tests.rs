use proptest::prelude::*;

use super::*;
use crate::{MasterKey, hex};

const PLACE: &[&str] = &["secret", "db-password", "3"];

fn key() -> PoolKey {
    PoolKey::generate().unwrap()
}

#[test]
fn what_was_sealed_opens_with_its_key_in_its_place_only() {
    let pool = key();
    let sealed = seal(&pool.public(), PLACE, b"hunter2").unwrap();
    assert_eq!(open(&pool, PLACE, &sealed).unwrap().expose(), b"hunter2");
    assert_eq!(open(&key(), PLACE, &sealed).unwrap_err(), OpenError);
    let elsewhere: [&[&str]; 6] = [
        &[],
        &["secret", "db-password", "4"],
        &["secret", "db-password"],
        &["secret", "db-password", "3", ""],
        &["secret", "db-passwor", "d3"],
        &["parameter", "db-password", "3"],
    ];
    for context in elsewhere {
        assert!(open(&pool, context, &sealed).is_err(), "{context:?}");
    }
}

#[test]
fn the_same_secret_is_never_sealed_to_the_same_text() {
    let pool = key().public();
    let [one, other] = [0; 2].map(|_| seal(&pool, PLACE, b"hunter2").unwrap());
    let common = one.0.iter().zip(&other.0).filter(|(a, b)| a == b).count();
    assert!(
        common < 12,
        "{common} bytes of {} are the same",
        one.0.len()
    );
}

#[test]
fn a_changed_or_cut_value_does_not_open() {
    let pool = key();
    let sealed = seal(&pool.public(), PLACE, b"hunter2").unwrap();
    assert_eq!(sealed.0.len(), 32 + 7 + 16);
    for bit in 0..8 * sealed.0.len() {
        let mut changed = sealed.clone();
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&pool, PLACE, &changed).is_err(), "{bit}");
    }
    for length in 0..sealed.0.len() {
        let cut = Sealed(sealed.0[..length].to_vec());
        assert!(open(&pool, PLACE, &cut).is_err(), "{length}");
    }
}

/// RFC 9180, appendix A.2.1: this suite in base mode, sequence number 0.
#[test]
fn the_suite_is_the_one_of_the_specification() {
    let private: [u8; 32] =
        hex::decode("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb").unwrap();
    let encapsulated: [u8; 32] =
        hex::decode("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a").unwrap();
    let closed = hex::decode_all(
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
    );
    let opened = open_parts(
        &PrivateKey::from_bytes(&private).unwrap(),
        &encapsulated,
        b"Ode on a Grecian Urn",
        b"Count-0",
        &closed.unwrap(),
    );
    assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
}

/// The golden value was made by another implementation, from the description of the shape.
#[test]
fn a_value_sealed_by_version_1_opens_for_ever() {
    let private: [u8; 32] =
        hex::decode("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let master = MasterKey::create(&folder.path().join("key")).unwrap();
    let wrapped = master.wrap(&["pool"], &private).unwrap();
    let pool = PoolKey::unwrapped(&master, &["pool"], &wrapped).unwrap();
    assert_eq!(
        pool.public().to_string(),
        "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
    );
    let sealed: Sealed = "sealed-v1:10065ad5f0ba85366ae0a4c0df75f30bd80bf533ab0ffc3b64b386c844ae725203a5e52e8af9781c103375589c0f90bf3cea184cab4f43".parse().unwrap();
    assert_eq!(open(&pool, PLACE, &sealed).unwrap().expose(), b"hunter2");
}

#[test]
fn a_pool_key_reaches_a_worker_through_the_master_key_and_the_workers_own() {
    let folder = tempfile::tempdir().unwrap();
    let master = MasterKey::create(&folder.path().join("key")).unwrap();
    let (pool, worker) = (key(), key());
    let wrapped = pool.wrap(&master, &["pool", "default", "1"]).unwrap();
    let kept = PoolKey::unwrapped(&master, &["pool", "default", "1"], &wrapped).unwrap();
    let place = ["worker", "w-1", "default", "1"];
    let given = kept.seal_to(&worker.public(), &place).unwrap();
    let received = PoolKey::opened(&worker, &place, &given).unwrap();
    let sealed = seal(&pool.public(), PLACE, b"hunter2").unwrap();
    assert_eq!(
        open(&received, PLACE, &sealed).unwrap().expose(),
        b"hunter2"
    );
    assert!(PoolKey::opened(&key(), &place, &given).is_err());
    assert!(PoolKey::unwrapped(&master, &["pool", "default", "2"], &wrapped).is_err());
    // What opens but has another length is no key.
    let short = master.wrap(&["pool"], &[1; 31]).unwrap();
    assert!(PoolKey::unwrapped(&master, &["pool"], &short).is_err());
}

/// Points of small order (RFC 7748, section 6.1): with them the shared secret is zeros, whoever seals.
#[test]
fn a_key_that_hides_nothing_is_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    for weak in [[0; 32], one] {
        let weak: PoolPublic = hex::encode(&weak).parse().unwrap();
        assert_eq!(seal(&weak, PLACE, b"hunter2"), Err(CloseError::WeakKey));
    }
}

#[test]
fn only_a_secret_of_allowed_length_is_sealed_and_it_fits_into_an_event() {
    let pool = key();
    let bytes = vec![7; SECRET_BYTES_MAX + 1];
    let error = seal(&pool.public(), PLACE, &bytes).unwrap_err();
    assert_eq!(error, CloseError::TooLong { bytes: 24_577 });
    let sealed = seal(&pool.public(), PLACE, &bytes[1..]).unwrap();
    let text = sealed.to_string();
    assert!(text.len() < 60 * 1024);
    let opened = open(&pool, PLACE, &text.parse().unwrap()).unwrap();
    assert_eq!(opened.expose(), &bytes[1..]);
}

#[test]
fn keys_show_their_public_half_only_and_values_their_length() {
    let pool = key();
    let public = pool.public();
    assert_eq!(
        format!("{pool:?}"),
        format!("PoolKey {{ public: {public}, .. }}")
    );
    assert_eq!(public.to_string().parse(), Ok(public));
    assert_eq!(
        public.to_string().to_uppercase().parse::<PoolPublic>(),
        Err(BadPoolKey)
    );
    let json = serde_json::to_string(&public).unwrap();
    assert_eq!(json, format!("\"{public}\""));
    assert_eq!(serde_json::from_str::<PoolPublic>(&json).unwrap(), public);
    let sealed = seal(&public, PLACE, b"").unwrap();
    assert_eq!(format!("{sealed:?}"), "Sealed(48 bytes)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..200), context in prop::collection::vec(".*", 0..4)) {
        let pool = key();
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let sealed = seal(&pool.public(), &context, &bytes).unwrap();
        let json = serde_json::to_string(&sealed).unwrap();
        let read: Sealed = serde_json::from_str(&json).unwrap();
        let opened = open(&pool, &context, &read).unwrap();
        prop_assert_eq!(opened.expose(), &bytes[..]);
    }
}
