use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use super::*;

const RECORD: Context = Context::new("record");

fn signer() -> Signer {
    Signer::of_this_process().unwrap()
}

#[test]
fn a_signature_is_good_for_its_bytes_key_and_purpose_only() {
    let ours = signer();
    let signature = ours.sign(RECORD, b"bytes");
    let key = ours.key_id();
    assert_eq!(key.verify(RECORD, b"bytes", &signature), Ok(()));
    assert_eq!(key.verify(RECORD, b"bytez", &signature), Err(BadSignature));
    assert_eq!(
        key.verify(Context::new("recor"), b"d\0bytes", &signature),
        Err(BadSignature)
    );
    assert_eq!(
        key.verify(Context::new("lease"), b"bytes", &signature),
        Err(BadSignature)
    );
    assert!(
        signer()
            .key_id()
            .verify(RECORD, b"bytes", &signature)
            .is_err()
    );
    let mut flipped = signature;
    flipped.0[0] ^= 1;
    assert!(key.verify(RECORD, b"bytes", &flipped).is_err());
}

#[test]
fn what_is_signed_is_the_context_a_nul_and_the_bytes() {
    let ours = signer();
    let plain = ours.pair.sign(b"record\0bytes");
    assert_eq!(ours.sign(RECORD, b"bytes").0, plain.as_ref());
}

#[test]
fn keys_and_signatures_are_read_back_from_their_own_text_only() {
    let ours = signer();
    let signature = ours.sign(RECORD, b"");
    assert_eq!(
        KeyId::parse(&ours.key_id().to_string()),
        Some(ours.key_id())
    );
    assert_eq!(Signature::parse(&signature.to_string()), Some(signature));
    assert_eq!(
        Signature::parse(&signature.to_string().to_uppercase()),
        None
    );
    assert_eq!(KeyId::parse(&signature.to_string()), None);
}

#[test]
fn a_key_file_is_made_once_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys/signing");
    let first = Signer::open_or_make(&path).unwrap();
    let again = Signer::open_or_make(&path).unwrap();
    assert_eq!(first.key_id(), again.key_id());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "nothing is left beside the key");
}

#[test]
fn processes_that_make_a_key_at_once_get_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let open = || Signer::open_or_make(&path).unwrap().key_id();
    let keys: Vec<KeyId> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn a_key_file_others_may_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    Signer::open_or_make(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = Signer::open_or_make(&path).unwrap_err();
        assert!(matches!(error, KeyError::Open { .. }), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    Signer::open_or_make(&path).unwrap();
}

#[test]
fn a_file_that_is_no_key_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    Signer::open_or_make(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let rows = [
        Vec::new(),
        whole[..40].to_vec(),
        b"-----BEGIN PRIVATE KEY-----\n".to_vec(),
        vec![0; 5000],
    ];
    for bytes in rows {
        fs::write(&path, &bytes).unwrap();
        let error = Signer::open_or_make(&path).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let error = Signer::open_or_make(folder.path()).unwrap_err();
    assert!(error.to_string().contains("not a file"), "{error}");
}

#[test]
fn a_signer_in_a_log_shows_its_public_half_only() {
    let ours = signer();
    let shown = format!("{ours:?}");
    assert_eq!(shown, format!("Signer {{ key_id: {}, .. }}", ours.key_id()));
}

/// The key of RFC 8410, section 10.3, without its public half, as OpenSSL writes them.
#[test]
fn a_key_file_without_a_public_key_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let head = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let secret: [u8; 32] =
        hex::decode("d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842").unwrap();
    fs::write(&path, [&head[..], &secret].concat()).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        Signer::open_or_make(&path).unwrap().key_id().to_string(),
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}
