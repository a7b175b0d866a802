use serde_json::json;

use super::super::artifacts;
use super::stub::{Reply, Stub, Then};

#[tokio::test]
async fn artifacts_are_written_under_their_paths_and_through_no_link() {
    let folder = tempfile::tempdir().unwrap();
    let (into, outside) = (folder.path().join("out"), folder.path().join("outside"));
    std::fs::create_dir_all(&into).unwrap();
    std::fs::write(&outside, "mine").unwrap();
    std::os::unix::fs::symlink(&outside, into.join("link")).unwrap();
    let stub = Stub::start(|asked, _| match asked.path.split('?').next().unwrap() {
        "/v1/builds/web:1/artifacts" => Reply::Json(
            200,
            json!({"artifacts": [{"path": "a b/c.txt", "sizeBytes": 5}, {"path": "link", "sizeBytes": 4}]}),
        ),
        "/v1/builds/web:1/artifacts/a%20b/c.txt" => {
            Reply::Stream(vec!["he".into(), "llo".into()], Then::End)
        }
        "/v1/builds/web:1/artifacts/link" => Reply::Bytes(200, b"evil".to_vec()),
        other => panic!("{other}"),
    })
    .await;
    artifacts::get(&stub.farm(), "web:1", &into).await.unwrap();
    assert_eq!(std::fs::read(into.join("a b/c.txt")).unwrap(), b"hello");
    assert_eq!(std::fs::read(into.join("link")).unwrap(), b"evil");
    assert_eq!(std::fs::read(&outside).unwrap(), b"mine");
    stub.stop().await;
}

#[tokio::test]
async fn a_path_out_of_the_folder_stops_everything_before_the_first_file() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(|_, _| {
        Reply::Json(
            200,
            json!({"artifacts": [{"path": "good"}, {"path": "../bad"}]}),
        )
    })
    .await;
    let into = folder.path().join("out");
    artifacts::get(&stub.farm(), "web:1", &into)
        .await
        .unwrap_err();
    assert_eq!(stub.asked().len(), 1);
    assert!(!into.exists());
    stub.stop().await;
}
