use super::*;
use std::os::unix::fs::symlink;

/// A root with a source directory `src` and the given files; a name with ` -> ` is a link.
fn tree(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("src")).unwrap();
    for file in files {
        let (name, target) = file
            .split_once(" -> ")
            .map_or((*file, None), |(a, b)| (a, Some(b)));
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            Some(target) => symlink(target, path).unwrap(),
            None => std::fs::write(path, name).unwrap(),
        }
    }
    folder
}

fn files(patterns: &[&str]) -> Artifacts {
    Artifacts {
        files: patterns.iter().map(ToString::to_string).collect(),
        ..Artifacts::default()
    }
}

fn run(
    folder: &Path,
    artifacts: &Artifacts,
    packaging: Packaging,
) -> Result<Selection, SelectError> {
    select(
        artifacts,
        packaging,
        &Root::open(folder).unwrap(),
        Path::new("/src"),
    )
}

fn names(selection: &Selection) -> Vec<String> {
    selection.names().map(shown).collect()
}

#[test]
fn every_rule_for_files_holds() {
    let tree = tree(&[
        "src/a.txt",
        "src/.env",
        "src/.git/config",
        "src/d/b.txt",
        "src/d/e/c.txt",
        "tmp/x.txt",
    ]);
    for (patterns, expected) in [
        (
            &["**/*"][..],
            &[".env", ".git/config", "a.txt", "d/b.txt", "d/e/c.txt"][..],
        ),
        (&["*"], &[".env", "a.txt"]),
        (&["d/*"], &["d/b.txt"]),
        (&["d/**/*"], &["d/b.txt", "d/e/c.txt"]),
        (&["d"], &["d/b.txt", "d/e/c.txt"]),
        (&["d/"], &["d/b.txt", "d/e/c.txt"]),
        (&["./a.txt"], &["a.txt"]),
        (&["d/e/c.txt", "a.txt", "*.txt"], &["a.txt", "d/e/c.txt"]),
        (&["/src/a.txt"], &["a.txt"]),
        (&["/tmp/x.txt"], &["tmp/x.txt"]),
        (&["../tmp/*"], &["tmp/x.txt"]),
        (&["{a,d/b}.txt"], &["a.txt", "d/b.txt"]),
    ] {
        let selection = run(tree.path(), &files(patterns), Packaging::None).unwrap();
        assert_eq!(names(&selection), expected, "{patterns:?}");
    }
}

#[test]
fn empty_directories_are_not_stored() {
    let tree = tree(&["src/full/file"]);
    std::fs::create_dir(tree.path().join("src/empty")).unwrap();
    assert_eq!(
        names(&run(tree.path(), &files(&["**/*"]), Packaging::Zip).unwrap()),
        ["full/file"]
    );
    assert!(run(tree.path(), &files(&["empty/**/*"]), Packaging::Zip).is_err());
}

#[test]
fn excluded_paths_count_from_the_base_directory() {
    let tree = tree(&[
        "src/dist/a.js",
        "src/dist/a.map",
        "src/dist/.x/y",
        "src/dist/node_modules/m",
    ]);
    for (exclude, expected) in [
        (&["**/*.map"][..], &[".x/y", "a.js", "node_modules/m"][..]),
        (&["**/.*/**/*"], &["a.js", "a.map", "node_modules/m"]),
        (&["node_modules", ".x/**/*", "*.map"], &["a.js"]),
        (&["dist/a.js"], &[".x/y", "a.js", "a.map", "node_modules/m"]),
    ] {
        let artifacts = Artifacts {
            base_directory: Some("dist".to_owned()),
            exclude_paths: exclude.iter().map(ToString::to_string).collect(),
            ..files(&["**/*"])
        };
        let selection = run(tree.path(), &artifacts, Packaging::None).unwrap();
        assert_eq!(names(&selection), expected, "{exclude:?}");
    }
}

#[test]
fn a_base_with_wildcards_is_the_union_of_its_matches_without_their_names() {
    let tree = tree(&[
        "src/my-build1/a",
        "src/my-build1/same",
        "src/my-build2/same",
        "src/other/b",
    ]);
    let artifacts = Artifacts {
        base_directory: Some("my-build*".to_owned()),
        ..files(&["**/*"])
    };
    let selection = run(tree.path(), &artifacts, Packaging::None).unwrap();
    assert_eq!(names(&selection), ["a", "same"]);
    assert_eq!(selection.items[1].location, Path::new("src/my-build2/same"));
    assert!(selection.warnings[0].contains("`my-build1/same` and `my-build2/same`"));
}

#[test]
fn a_base_that_does_not_exist_is_like_no_match_and_names_its_like() {
    let tree = tree(&["src/dist/a"]);
    let artifacts = Artifacts {
        base_directory: Some("dits".to_owned()),
        ..files(&["**/*"])
    };
    let error = run(tree.path(), &artifacts, Packaging::None)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no matching artifact paths found: `base-directory: dits` does not exist in the source \
         directory; the nearest that exist: `dist`"
    );
}

#[test]
fn of_flattened_files_with_one_name_the_last_path_stays_and_both_are_named() {
    let tree = tree(&["src/a/index.html", "src/b/index.html", "src/c/other.html"]);
    let artifacts = Artifacts {
        discard_paths: true,
        ..files(&["**/*.html"])
    };
    let selection = run(tree.path(), &artifacts, Packaging::None).unwrap();
    assert_eq!(names(&selection), ["index.html", "other.html"]);
    assert_eq!(selection.items[0].location, Path::new("src/b/index.html"));
    assert_eq!(selection.warnings.len(), 1);
    assert!(selection.warnings[0].contains("`a/index.html` and `b/index.html`"));
}

#[test]
fn links_are_stored_as_what_they_lead_to_unless_a_zip_keeps_them() {
    let tree = tree(&[
        "src/file",
        "src/d/inner",
        "etc/secret",
        "src/to-file -> file",
        "src/to-d -> d",
        "src/d/up -> ../file",
        "src/d/out -> ../../etc/secret",
        "src/absolute -> /etc/secret",
        "src/out-d -> ../etc",
        "src/broken -> missing",
    ]);
    let followed = run(tree.path(), &files(&["**/*"]), Packaging::None).unwrap();
    let expected = [
        "absolute",
        "d/inner",
        "d/out",
        "d/up",
        "file",
        "to-d/inner",
        "to-d/out",
        "to-d/up",
        "to-file",
    ];
    assert_eq!(names(&followed), expected);
    assert!(followed.items.iter().all(|item| item.link.is_none()));
    assert!(
        followed
            .warnings
            .iter()
            .any(|warning| warning.contains("`broken` is a link that leads nowhere"))
    );
    assert!(
        followed
            .warnings
            .iter()
            .any(|warning| warning.contains("`out-d`"))
    );

    let artifacts = Artifacts {
        enable_symlinks: true,
        ..files(&["**/*"])
    };
    let kept = run(tree.path(), &artifacts, Packaging::Zip).unwrap();
    let links: Vec<String> = kept
        .items
        .iter()
        .filter(|item| item.link.is_some())
        .map(|item| shown(&item.name))
        .collect();
    assert_eq!(links, ["broken", "d/up", "to-d", "to-file"]);
    assert_eq!(
        names(&kept),
        [
            "absolute", "broken", "d/inner", "d/out", "d/up", "file", "to-d", "to-file"
        ]
    );
    assert!(
        kept.warnings
            .iter()
            .any(|warning| warning.contains("`out-d`")),
        "{:?}",
        kept.warnings
    );

    let unpacked = run(tree.path(), &artifacts, Packaging::None).unwrap();
    assert_eq!(names(&unpacked), expected);
    assert!(
        unpacked
            .warnings
            .iter()
            .any(|warning| warning.contains("`enable-symlinks` needs ZIP"))
    );
}

#[test]
fn a_link_above_the_base_does_not_stay_a_link() {
    let tree = tree(&["src/file", "src/dist/link -> ../file", "src/dist/real"]);
    let artifacts = Artifacts {
        enable_symlinks: true,
        base_directory: Some("dist".to_owned()),
        ..files(&["**/*"])
    };
    let selection = run(tree.path(), &artifacts, Packaging::Zip).unwrap();
    assert_eq!(names(&selection), ["link", "real"]);
    assert_eq!(selection.items[0].link, None);
}

#[test]
fn a_file_reached_through_a_kept_link_is_not_stored_below_it() {
    let tree = tree(&["src/d/inner", "src/to-d -> d"]);
    let artifacts = Artifacts {
        enable_symlinks: true,
        ..files(&["**/*", "to-d/*"])
    };
    let selection = run(tree.path(), &artifacts, Packaging::Zip).unwrap();
    assert_eq!(names(&selection), ["d/inner", "to-d"]);
}

#[test]
fn a_file_and_a_directory_of_one_name_from_two_bases_do_not_meet() {
    let tree = tree(&["src/b1/x", "src/b2/x/y"]);
    let artifacts = Artifacts {
        base_directory: Some("b*".to_owned()),
        ..files(&["**/*"])
    };
    let selection = run(tree.path(), &artifacts, Packaging::None).unwrap();
    assert_eq!(names(&selection), ["x/y"]);
    assert!(selection.warnings[0].contains("`x` cannot be stored beside `x/y`"));
}

#[test]
fn special_files_are_left_out_with_a_warning() {
    let tree = tree(&["src/file"]);
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("src/socket")).unwrap();
    let selection = run(tree.path(), &files(&["**/*"]), Packaging::None).unwrap();
    assert_eq!(names(&selection), ["file"]);
    assert!(selection.warnings[0].contains("`socket` is a device, a pipe or a socket"));
}

#[test]
fn nothing_found_says_what_was_looked_for_and_what_is_there() {
    let tree = tree(&["src/sub/target/app.jar", "src/README.md"]);
    let error = run(
        tree.path(),
        &files(&["target/app.jar", "x/*"]),
        Packaging::None,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no matching artifact paths found: nothing in the source directory matches \
         `target/app.jar`, `x/*`; the nearest that exist: `sub/target/app.jar`; `target/app.jar` \
         would match with `base-directory: sub`; where a command changed to with `cd` makes no \
         difference"
    );
    let none = run(tree.path(), &files(&[]), Packaging::None)
        .unwrap_err()
        .to_string();
    assert!(
        none.starts_with("no matching artifact paths found: `files` is empty"),
        "{none}"
    );
}

#[test]
fn excluding_everything_is_said() {
    let tree = tree(&["src/a"]);
    let artifacts = Artifacts {
        exclude_paths: vec!["**/*".to_owned()],
        ..files(&["a"])
    };
    let error = run(tree.path(), &artifacts, Packaging::None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`exclude-paths` takes every one of them out"),
        "{error}"
    );
}

#[test]
fn one_pattern_without_a_match_among_others_is_a_warning() {
    let tree = tree(&["src/a.txt", "src/sub/b.txt"]);
    let selection = run(tree.path(), &files(&["a.txt", "b.txt"]), Packaging::None).unwrap();
    assert_eq!(names(&selection), ["a.txt"]);
    assert!(
        selection.warnings[0].starts_with("`b.txt` matches no file"),
        "{:?}",
        selection.warnings
    );
    assert!(
        selection.warnings[0].contains("base-directory: sub"),
        "{:?}",
        selection.warnings
    );
}

#[test]
fn a_pattern_that_cannot_be_read_is_an_error_with_its_text() {
    let tree = tree(&["src/a"]);
    let error = run(tree.path(), &files(&["[a"]), Packaging::None).unwrap_err();
    assert!(matches!(
        error,
        SelectError::Paths(GlobError::Pattern { .. })
    ));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn any_patterns_are_answered_and_never_leave_the_artifact(
        patterns in proptest::collection::vec("[a-c*?./{}\\[\\],]{0,12}", 1..4),
        exclude in "[a-c*?./]{0,8}",
        base in "[a-c*./]{0,6}",
    ) {
        let tree = tree(&["src/a/b", "src/b", "src/a/c/a", "c/a", "src/c -> ..", "src/a/x -> ../../c"]);
        let artifacts = Artifacts {
            files: patterns,
            exclude_paths: vec![exclude],
            base_directory: Some(base),
            ..Artifacts::default()
        };
        for packaging in [Packaging::None, Packaging::Zip] {
            if let Ok(selection) = run(tree.path(), &artifacts, packaging) {
                for name in selection.names() {
                    let plain = name.components().all(|part| matches!(part, std::path::Component::Normal(_)));
                    proptest::prop_assert!(plain, "{:?}", name);
                }
            }
        }
    }
}
