//! What people see.

use crate::appspec::lint;
use crate::render;

fn page(text: &str) -> String {
    render(&lint("appspec.yml", text.as_bytes()), text, false)
}

#[test]
fn mistakes_are_shown_with_their_line_and_the_fix() {
    insta::assert_snapshot!(page(
        "version: \"0.0\"\nos: Linux\nfiles:\n  - source: ../app\n    destination: app\n    file_exists_behavior: OVERWRITE\nfile_exists_behavior: overwrite\n"
    ));
}

#[test]
fn mistakes_of_permissions_are_shown_with_their_line_and_the_fix() {
    insta::assert_snapshot!(page(
        "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /srv/app\npermissions:\n  - object: /srv/app\n    mode: u=rwx\n    owner: web web\n    type: [files]\n    acls:\n      - u::rwx\n    context:\n      user: a\n      range: s3-s1\n  - object: /srv/app\n    mode: 755\n"
    ));
}

#[test]
fn mistakes_of_hooks_are_shown_with_their_line_and_the_fix() {
    insta::assert_snapshot!(page(
        "version: 0.0\nos: linux\nhooks:\n  Install:\n    - location: scripts/install.sh\n  BeforeInstal:\n    - location: scripts/before.sh\n  AfterInstall:\n    - scripts/after.sh\n    - timeout: 5m\n  ApplicationStart:\n    - location: scripts/a.sh\n      timeout: 3000\n    - location: scripts/b.sh\n      timeout: 3000\n"
    ));
}

#[test]
fn an_appspec_for_ecs_is_shown_with_what_to_do_instead() {
    insta::assert_snapshot!(page(
        "version: 0.0\nResources:\n  - TargetService:\n      Type: AWS::ECS::Service\n      Properties:\n        TaskDefinition: <TASK_DEFINITION>\nHooks:\n  - BeforeInstall: prepare\n"
    ));
}

#[test]
fn an_appspec_for_lambda_is_shown_with_what_to_do_instead() {
    insta::assert_snapshot!(page(
        "{\n  \"version\": 0.0,\n  \"Resources\": [\n    {\"hello\": {\"Type\": \"AWS::Lambda::Function\", \"Properties\": {\"Name\": \"hello\"}}}\n  ]\n}\n"
    ));
}

#[test]
fn traps_are_shown_at_what_causes_them() {
    insta::assert_snapshot!(page(
        "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /srv/app\n  - source: conf/app.ini\n    destination: /srv/app/conf\npermissions:\n  - object: /srv/app\n    except: ['*.sh']\n    mode: \"0644\"\n  - object: /srv/app/bin\n    mode: \"0755\"\n  - object: /var/log/app\nhooks:\n  ApplicationStart:\n    - location: /scripts/start.sh --now\n"
    ));
}
