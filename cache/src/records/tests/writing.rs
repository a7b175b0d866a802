use super::*;
use crate::records::write::Writer;

fn writer<'a>(bucket: &'a Bucket, scopes: &'a Scopes) -> Writer<'a> {
    Writer {
        objects: &bucket.objects,
        signer: &bucket.forks,
        scopes,
        seen: bucket.seen.as_ref(),
    }
}

#[test]
fn a_record_is_written_where_it_is_found() {
    let (bucket, scopes) = (Bucket::new(), fork("fork/1"));
    let made = in_scope("fork/1", record("k", 1));
    let name = writer(&bucket, &scopes).write(&made).unwrap();
    assert_eq!(bucket.read(&name).unwrap(), Some(made));
}

#[test]
fn a_fork_that_writes_another_scope_writes_nothing() {
    let (bucket, scopes) = (Bucket::new(), fork("fork/1"));
    for target in ["trusted", "fork/2", "fork/1/x"] {
        let made = in_scope(target, record("k", 1));
        let error = writer(&bucket, &scopes).write(&made).unwrap_err();
        assert!(
            error.to_string().contains("may not be written here"),
            "{error}"
        );
        assert_eq!(bucket.objects.size_bytes(&made.name()).unwrap(), None);
    }
}

#[test]
fn an_older_record_put_back_over_ones_own_is_refused() {
    let local = tempfile::tempdir().unwrap();
    let bucket = Bucket {
        seen: Some(Seen::in_folder(local.path())),
        ..Bucket::new()
    };
    let scopes = fork("fork/1");
    let made = |created| in_scope("fork/1", without_key(created));
    let name = writer(&bucket, &scopes).write(&made(9_000_000)).unwrap();
    bucket.put_as(&bucket.forks, &made(1));
    assert!(untrusted(bucket.read(&name)).contains("put it back"));
}
