use clap::Parser;

use super::*;
use crate::args::{Cli, Command, Format};

fn parse(line: &str) -> Command {
    Cli::try_parse_from(line.split(' ')).unwrap().command
}

fn refused(line: &str) -> String {
    Cli::try_parse_from(line.split(' '))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_folder_is_submitted_with_the_flags_of_run() {
    let line = "croft submit app -i img -b spec.yml -e vars --env A=1 --env B=2 --priority 4 --project web --detach \
        --token-idempotency t -o json --server https://a.example --token-file token --ca-file ca --retry 5s";
    let Command::Submit(words) = parse(line) else {
        panic!("submit")
    };
    assert_eq!(words.directory.to_str(), Some("app"));
    assert_eq!(
        (words.start.image.as_deref(), words.project.as_deref()),
        (Some("img"), Some("web"))
    );
    assert_eq!(
        (
            words.start.env.len(),
            words.start.priority,
            words.start.detach
        ),
        (2, Some(4), true)
    );
    assert_eq!(words.start.idempotency_token.as_deref(), Some("t"));
    assert_eq!(words.start.output, Show::Json);
    assert_eq!(words.connect.server.as_deref(), Some("https://a.example"));
    let Command::Submit(words) = parse("croft submit") else {
        panic!("submit")
    };
    assert_eq!(words.directory.to_str(), Some("."));
    assert!(refused("croft submit --priority 5").contains("0..=4"));
}

#[test]
fn builds_are_looked_at_and_acted_on() {
    let Command::Build(words) =
        parse("croft build list --project web --status failed --limit 5 -o name --server x")
    else {
        panic!("build")
    };
    assert_eq!(words.connect.server.as_deref(), Some("x"));
    let BuildCommand::List {
        status,
        limit,
        output,
        ..
    } = words.command
    else {
        panic!("list")
    };
    assert_eq!((status, limit), (Some(StatusWord::Failed), 5));
    assert_eq!(output.output, Format::Name);
    for line in [
        "croft build --server x get web:1",
        "croft build logs web:1 -f",
        "croft build stop web:1",
        "croft build retry web:1 -o json",
        "croft build explain web:1",
        "croft build watch web:1 -o ndjson",
        "croft build artifacts web:1 --into out",
    ] {
        parse(line);
    }
    refused("croft build list --limit 0");
    refused("croft build get");
}

#[test]
fn a_secrets_value_cannot_be_on_the_command_line() {
    let Command::Secret(words) =
        parse("croft secret set /app/db --kind parameter-store --project web --project shop-*")
    else {
        panic!("secret")
    };
    let SecretCommand::Set {
        name,
        value_file,
        kind,
        projects,
    } = words.command
    else {
        panic!("set")
    };
    assert_eq!((name.as_str(), value_file.to_str()), ("/app/db", Some("-")));
    assert_eq!((kind, projects.len()), (KindWord::ParameterStore, 2));
    refused("croft secret set name value");
    refused("croft secret set name --value value");
}

#[test]
fn a_workers_commands_leave_the_word_to_the_role() {
    let Command::Worker(words) = parse("croft worker") else {
        panic!("worker")
    };
    assert!(words.command.is_none());
    for line in [
        "croft worker list --server x -o wide",
        "croft worker drain w1 --server x",
        "croft worker resume w1",
    ] {
        let Command::Worker(words) = parse(line) else {
            panic!("worker")
        };
        assert!(words.command.is_some(), "{line}");
    }
}

#[test]
fn the_rest_is_read_as_it_is_written() {
    for line in [
        "croft project apply -f -",
        "croft project apply -f web.yml -o json",
        "croft project apply web.yml",
        "croft project get web",
        "croft project list -o name",
        "croft project delete web",
        "croft secret list",
        "croft secret rm name",
        "croft queue -o json --insecure-http",
        "croft token create ci --role builder --project web --expires-in-days 30",
        "croft token create w1 --role worker --pool gpu",
        "croft token list",
        "croft token revoke id",
        "croft audit --verify",
        "croft audit --limit 5 -o ndjson",
    ] {
        parse(line);
    }
    refused("croft token create ci");
    refused("croft token create ci --role root");
    refused("croft project apply");
}

#[test]
fn deploying_has_words_like_building() {
    let Command::Deploy(words) =
        parse("croft deploy shop prod --revision dist --busy queue --watch")
    else {
        panic!("deploy")
    };
    assert_eq!(
        (words.group.application.as_str(), words.group.group.as_str()),
        ("shop", "prod")
    );
    assert!(words.watch && !words.detach && words.revision == "dist");
    for line in [
        "croft app apply -",
        "croft app apply -f shop.yml -o json",
        "croft app list --server x",
        "croft app get shop -o yaml",
        "croft app delete shop",
        "croft group apply prod.json",
        "croft group list shop",
        "croft group get shop prod",
        "croft group delete shop prod",
        "croft deployment-config apply careful.yml",
        "croft deployment-config list -o name",
        "croft deployment-config get CodeDeployDefault.HalfAtATime -o json",
        "croft deployment-config delete careful",
        "croft deploy shop prod --detach --config CodeDeployDefault.AllAtOnce --file-exists-behavior overwrite",
        "croft deployment list --application shop --group prod --status failed --limit 5",
        "croft deployment get d-A1B2C3D4E",
        "croft deployment targets d-A1B2C3D4E",
        "croft deployment targets d-A1B2C3D4E h1 -o wide",
        "croft deployment watch d-A1B2C3D4E -o ndjson",
        "croft deployment stop d-A1B2C3D4E --rollback",
        "croft deployment continue d-A1B2C3D4E",
        "croft deployment rollback shop prod",
        "croft deployment explain d-A1B2C3D4E -o json",
        "croft alarm list shop prod",
        "croft alarm test shop prod -o wide",
        "croft host list",
        "croft host get h1",
        "croft host revoke h1",
        "croft host tag h1 role=web env=prod",
    ] {
        parse(line);
    }
    for line in [
        "croft deploy shop",
        "croft deploy shop prod --watch --detach",
        "croft deploy shop prod --file-exists-behavior keep",
        "croft app apply",
        "croft app apply a -f b",
        "croft deployment rollback shop",
        "croft deployment list --limit 0",
    ] {
        refused(line);
    }
}
