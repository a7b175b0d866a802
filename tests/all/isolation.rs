//! What a sandboxed command cannot reach. The sandbox is for one's own code on one's own machine: it keeps a build's slips
//! and a dependency's curiosity away from what is not the build's.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::harness::{At, Farm};

/// Stands in files that no build may see.
const PRIVATE: &str = "croft-e2e-private-text";

/// A test in the sandbox of this machine.
macro_rules! sandbox {
    () => {
        match At::SANDBOX.farm() {
            Some(farm) => farm,
            None => return,
        }
    };
}

/// Writes `PRIVATE` into a file of the person's home.
fn keep_in_home(farm: &Farm, name: &str) -> String {
    let path = farm.person().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, PRIVATE).unwrap();
    path.display().to_string()
}

/// Neither path shows the file: where it is on this machine, and in the build's own home.
#[track_caller]
fn assert_hidden(farm: &Farm, name: &str) {
    let path = keep_in_home(farm, name);
    let ran = farm.run_commands(&[&format!("cat '{path}' ~/{name} 2>&1; ls -laR {} ~ 2>&1; find / -xdev -name '{PRIVATE}*' 2>/dev/null; true", farm.person().display())]);
    ran.assert_code(0);
    assert!(!ran.output().contains(PRIVATE), "{}", ran.output());
}

#[test]
fn the_container_engines_socket_is_out_of_reach() {
    let farm = sandbox!();
    let outputs = farm.outputs(&["ls -la /var/run/docker.sock /run/docker.sock /run/docker /run/containerd /run/podman 2>&1; find / -xdev -type s 2>/dev/null; true"]);
    for line in outputs[0].lines() {
        assert!(line.contains("No such file"), "{line}");
    }
}

#[test]
fn a_socket_of_the_caller_is_out_of_reach() {
    let farm = sandbox!();
    let path = farm.folder().join("agent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let ran = farm.run_commands(&[&format!("test ! -e {}", path.display())]);
    ran.assert_code(0);
}

#[test]
fn other_homes_are_not_there() {
    let farm = sandbox!();
    let outputs = farm.outputs(&["ls -A /home; ls -A /root | grep -vxE '\\.(cargo|rustup|pyenv|nvm|rbenv|nodenv|goenv|sdkman|jenv|volta|bun|deno|local)' || true"]);
    assert_eq!(outputs[0], "");
}

#[test]
fn crofts_state_and_cache_are_out_of_reach() {
    let farm = sandbox!();
    // Inside a folder that a sandbox does show, hiding is more than not mounting.
    let home = fs::canonicalize("/opt")
        .unwrap()
        .join(format!("croft-e2e-{}", std::process::id()));
    let cache = home.join("elsewhere");
    fs::create_dir_all(&cache).unwrap();
    fs::write(home.join("state"), PRIVATE).unwrap();
    fs::write(cache.join("state"), PRIVATE).unwrap();
    farm.spec(&format!(
        "phases:\n  build:\n    commands: ['grep -rs {} {} && exit 1; ls -A {} 2>&1; true']\n",
        &PRIVATE[..20],
        home.display(),
        home.display()
    ));
    let mut command = farm.croft_run(&["-o", "ndjson"]);
    command
        .env("CROFT_HOME", &home)
        .env("CROFT_CACHE_DIR", &cache);
    let ran = farm.end(command);
    fs::remove_dir_all(&home).unwrap();
    ran.assert_code(0);
    assert!(!ran.output().contains("state"), "{}", ran.output());
}

#[test]
fn credentials_of_aws_are_out_of_reach() {
    assert_hidden(&sandbox!(), ".aws/credentials");
}

#[test]
fn credentials_of_docker_are_out_of_reach() {
    assert_hidden(&sandbox!(), ".docker/config.json");
}

#[test]
fn keys_of_ssh_are_out_of_reach() {
    assert_hidden(&sandbox!(), ".ssh/id_ed25519");
}

#[test]
fn credentials_of_cargo_are_out_of_reach_beside_its_programs() {
    let farm = sandbox!();
    keep_in_home(&farm, ".cargo/bin/tool");
    keep_in_home(&farm, ".rustup/settings.toml");
    let path = keep_in_home(&farm, ".cargo/credentials.toml");
    let outputs = farm.outputs(&[
        &format!("cat {path} ~/.cargo/credentials.toml 2>&1 || true"),
        "ls ~/.cargo",
    ]);
    assert!(!outputs[0].contains(PRIVATE), "{outputs:?}");
    assert_eq!(outputs[1], "bin\n");
}

#[test]
fn credentials_of_git_npm_pypi_gnupg_and_kubernetes_are_out_of_reach() {
    let farm = sandbox!();
    for name in [
        ".netrc",
        ".git-credentials",
        ".npmrc",
        ".pypirc",
        ".gnupg/secring",
        ".kube/config",
        ".config/gh/hosts.yml",
        ".bash_history",
    ] {
        keep_in_home(&farm, name);
    }
    let ran = farm.run_commands(&[&format!(
        "cat {home}/.[a-z]* {home}/.*/* ~/.[a-z]* ~/.*/* 2>/dev/null; true",
        home = farm.person().display()
    )]);
    ran.assert_code(0);
    assert!(!ran.output().contains(PRIVATE), "{}", ran.output());
}

#[test]
fn files_of_etc_that_only_root_may_read_are_out_of_reach() {
    let farm = sandbox!();
    let outputs = farm.outputs(&[
        "cat /etc/shadow /etc/shadow- /etc/gshadow /etc/ssh/ssh_host_*_key /etc/ssl/private/* /etc/sudoers /etc/docker/* 2>/dev/null | wc -c",
        "find /etc -type f ! -perm -o=r -size +0 2>/dev/null || true",
    ]);
    assert_eq!(outputs, ["0\n", ""]);
}

#[test]
fn files_of_the_machine_cannot_be_written() {
    let farm = sandbox!();
    let marks = [
        "/usr/croft-e2e-mark",
        "/usr/bin/croft-e2e-mark",
        "/etc/croft-e2e-mark",
        "/opt/croft-e2e-mark",
        "/usr/local/bin/croft-e2e-mark",
        "/var/lib/dpkg/croft-e2e-mark",
    ];
    let text = marks
        .map(|mark| format!("if touch {mark} 2>/dev/null; then echo wrote {mark}; fi"))
        .join("; ");
    let outputs = farm.outputs(&[&format!("{text}; if (echo x >> /etc/passwd) 2>/dev/null; then echo wrote passwd; fi; chmod 777 /usr/bin/env 2>/dev/null && echo changed; true")]);
    assert_eq!(outputs[0], "");
    for mark in marks {
        assert!(!std::path::Path::new(mark).exists(), "{mark}");
    }
}

#[test]
fn settings_of_the_kernel_cannot_be_written() {
    let farm = sandbox!();
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let places = "/proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches /proc/sys/kernel/hostname /sys/kernel/uevent_helper /sys/kernel/mm/transparent_hugepage/enabled /sys/fs/cgroup/cgroup.procs";
    let outputs = farm.outputs(&[&format!("for place in {places}; do if (printf '|/croft-e2e-mark' > $place) 2>/dev/null; then echo wrote $place; fi; done")]);
    assert_eq!(outputs[0], "");
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(),
        before
    );
}

#[test]
fn a_command_has_no_capabilities_and_can_get_none() {
    let farm = sandbox!();
    let outputs = farm.outputs(&["grep -E '^(Cap|NoNewPrivs)' /proc/self/status"]);
    let words: Vec<(&str, &str)> = outputs[0]
        .lines()
        .filter_map(|line| line.split_once(":\t"))
        .collect();
    assert_eq!(words.len(), 6, "{words:?}");
    for (name, value) in words {
        assert_eq!(
            value,
            if name == "NoNewPrivs" {
                "1"
            } else {
                "0000000000000000"
            },
            "{name}"
        );
    }
}

#[test]
fn processes_of_the_machine_are_not_seen_and_cannot_be_signalled() {
    let farm = sandbox!();
    let mark = format!("7{:07}", std::process::id());
    let mut bystander = Command::new("sleep")
        .arg(&mark)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ran = farm.run_commands(&[
        // The brackets keep the search from finding itself.
        &format!(
            "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep [7]{}'; true",
            &mark[1..]
        ),
        &format!(
            "kill -9 {} 2>/dev/null && echo signalled; true",
            bystander.id()
        ),
        "ls -d /proc/[0-9]* | wc -l",
    ]);
    let alive = bystander.try_wait().unwrap().is_none();
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    ran.assert_code(0);
    let outputs: Vec<String> = ran.commands().into_iter().map(|done| done.output).collect();
    assert_eq!((outputs[0].as_str(), outputs[1].as_str()), ("0\n", ""));
    assert!(
        outputs[2].trim().parse::<u32>().unwrap() < 10,
        "{outputs:?}"
    );
    assert!(alive);
}

#[test]
fn nothing_can_be_mounted_or_unmounted() {
    let farm = sandbox!();
    let outputs = farm.outputs(&[
        "mkdir m; mount -t tmpfs none m 2>/dev/null && echo mounted; mount --bind / m 2>/dev/null && echo bound; true",
        "umount /etc/shadow 2>/dev/null && echo unmounted; mount -o remount,rw /usr 2>/dev/null && echo remounted; true",
        "chroot / true 2>/dev/null && echo rooted; mknod disk b 254 0 2>/dev/null && echo made; true",
    ]);
    assert_eq!(outputs, ["", "", ""]);
}

#[test]
fn no_mask_can_be_lifted_from_a_namespace_of_the_builds_own() {
    let farm = sandbox!();
    let outputs = farm.outputs(&[
        "unshare --user --map-root-user --mount sh -c 'umount /etc/shadow; umount /etc/docker; mount -o remount,rw,bind /usr && touch /usr/croft-e2e-mark; cat /etc/shadow' 2>/dev/null; true",
    ]);
    assert_eq!(outputs[0], "");
    assert!(!std::path::Path::new("/usr/croft-e2e-mark").exists());
}

#[test]
fn devices_of_the_machine_are_not_there() {
    let farm = sandbox!();
    let outputs = farm.outputs(&[
        "for file in /dev/* /dev/[!f]*/*; do if test -b $file; then echo block $file; elif test -c $file && test ! -L $file; then echo $file; fi; done | sort | tr '\\n' ' '",
    ]);
    let expected = "/dev/full /dev/null /dev/pts/ptmx /dev/random /dev/tty /dev/urandom /dev/zero ";
    assert_eq!(outputs[0], expected);
}

#[test]
fn temporary_files_are_the_builds_own() {
    let farm = sandbox!();
    let outputs = farm.outputs(&[
        "ls -A /tmp /var/tmp /dev/shm",
        "touch /tmp/croft-e2e-left /var/tmp/croft-e2e-left",
    ]);
    assert_eq!(
        outputs[0]
            .lines()
            .filter(|line| !line.is_empty() && !line.ends_with(':'))
            .count(),
        0,
        "{outputs:?}"
    );
    for place in ["/tmp/croft-e2e-left", "/var/tmp/croft-e2e-left"] {
        assert!(!std::path::Path::new(place).exists(), "{place}");
    }
}

#[test]
fn the_next_build_finds_nothing_of_the_last_ones_home() {
    let farm = sandbox!();
    farm.outputs(&["echo x > ~/left; echo x > /tmp/left; echo x > left"]);
    let outputs = farm.outputs(&["ls -A ~/left /tmp/left left 2>/dev/null; true"]);
    assert_eq!(outputs[0], "");
}

/// The network is the machine's: builds fetch what they need. This is said here so that nobody takes it for a fence.
#[test]
fn the_network_is_the_machines_own() {
    let Some(farm) = At::SANDBOX_BASH.farm() else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = std::thread::Builder::new()
        .name("accept".into())
        .spawn(move || listener.accept().is_ok())
        .unwrap();
    let outputs = farm.outputs(&[&format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached"
    )]);
    assert_eq!(outputs[0], "reached\n");
    assert!(accepting.join().unwrap());
}
