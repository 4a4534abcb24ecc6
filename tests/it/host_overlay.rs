//! The overlay of a host: what it changes, what stays the same, and when it is refused.

use crate::test::{SHOP, Test};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const UNIT: &str = "usr/local/lib/systemd/system/shop-web.service";

struct Shop(Test);

impl Shop {
    fn new() -> Self {
        let listen = "listen = [\"127.0.0.1:8080\"]\nenv = { MODE = \"a\" }\n";
        Self(Test::shop().manifest(&format!("{SHOP}{listen}")))
    }

    fn path(&self) -> PathBuf {
        self.0.root("etc/shop/robot.local.toml")
    }

    fn overlay(&self, text: &str) {
        fs::create_dir_all(self.0.root("etc/shop")).expect("make /etc/shop");
        fs::write(self.path(), text).expect("write the overlay");
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o644)).expect("set the mode");
    }

    fn deploy(&self) {
        self.0
            .run(["deploy", "--apply"])
            .any_stdout()
            .any_stderr()
            .success();
    }

    fn preview(&self) -> String {
        self.0
            .run(["deploy"])
            .any_stdout()
            .any_stderr()
            .success()
            .stdout
    }

    fn file(&self, path: &str) -> String {
        fs::read_to_string(self.0.root(path)).expect("read a file of the host")
    }

    fn live(&self) -> String {
        let link = fs::read_link(self.0.root("opt/shop/current")).expect("read the link");
        link.display().to_string()
    }

    fn overlays(&self) -> usize {
        let dir = self.0.root("var/lib/robotctl/shop/overlays");
        fs::read_dir(dir).map_or(0, Iterator::count)
    }
}

#[test]
fn an_overlay_changes_the_units_and_not_the_release() {
    let shop = Shop::new();
    shop.deploy();
    let plain = (shop.live(), shop.file(UNIT));
    shop.overlay("[service.web]\nlisten = [\":9090\"]\nenv.MODE = \"b\"\n");
    let preview = shop.preview();
    for line in [
        "stays live",
        "from /etc/shop/robot.local.toml:\n  service.web.env.MODE  (new value)\n  service.web.listen  (new value)\n",
        "reachable from the network",
    ] {
        assert!(preview.contains(line), "{line}: {preview}");
    }
    shop.deploy();
    assert_eq!(shop.live(), plain.0);
    assert!(shop.file(UNIT).contains("Environment=MODE=b"));
    let socket = shop.file("usr/local/lib/systemd/system/shop-web.socket");
    assert!(socket.contains("ListenStream=9090"), "{socket}");
    assert!(
        shop.preview().starts_with("nothing to do"),
        "{}",
        shop.preview()
    );
    assert_eq!(shop.overlays(), 1);

    // A comment is no change.
    shop.overlay("# words\n[service.web]\nlisten = [\":9090\"]\nenv.MODE = \"b\"\n");
    assert!(shop.preview().starts_with("nothing to do"));

    // An upgrade and a rollback keep it, a rollback to the release before the overlay too.
    shop.0.write(
        "robot.toml",
        &SHOP.replace("1.0", "2.0").replace(
            "[service.web]\n",
            "[service.web]\nlisten = [\"127.0.0.1:8080\"]\nenv = { MODE = \"a\" }\n",
        ),
    );
    shop.deploy();
    assert_ne!(shop.live(), plain.0);
    assert!(shop.file(UNIT).contains("Environment=MODE=b"));
    shop.overlay("[service.web]\nlisten = [\":9090\"]\nenv.MODE = \"c\"\n");
    shop.0.run(["rollback"]).any_stdout().any_stderr().success();
    assert_eq!(shop.live(), plain.0);
    assert!(shop.file(UNIT).contains("Environment=MODE=c"));
    assert_eq!(shop.overlays(), 1);

    // Without the file, the release is as it was staged.
    fs::remove_file(shop.path()).expect("remove the overlay");
    shop.0.write(
        "robot.toml",
        &format!("{SHOP}listen = [\"127.0.0.1:8080\"]\nenv = {{ MODE = \"a\" }}\n"),
    );
    assert!(
        shop.preview()
            .contains("service.web.listen  (no longer set)")
    );
    shop.deploy();
    assert_eq!((shop.live(), shop.file(UNIT)), plain);
    assert_eq!(shop.overlays(), 0);
}

#[test]
fn an_overlay_that_others_can_change_or_that_is_wrong_is_refused() {
    let shop = Shop::new();
    shop.deploy();
    let before = shop.file(UNIT);
    for (mode, text, says) in [
        (
            0o666,
            "env.MODE = \"b\"\n",
            "another user than root can change",
        ),
        (
            0o664,
            "env.MODE = \"b\"\n",
            "another user than root can change",
        ),
        (
            0o644,
            "\nenv.MODE = 1\n",
            "robot.local.toml:2: `MODE` must be a string",
        ),
        (
            0o644,
            "user = \"root\"\n",
            "robot.local.toml:1: a host cannot change `user`",
        ),
        (
            0o644,
            "[service.wbe]\n",
            "robot.local.toml:1: there is no service `wbe`",
        ),
        (
            0o644,
            "restart-sec = \"x\"\n",
            "robot.local.toml:1: `x` in `restart-sec` is not a time span",
        ),
    ] {
        shop.overlay(text);
        fs::set_permissions(shop.path(), fs::Permissions::from_mode(mode)).expect("set the mode");
        for command in [&["deploy"][..], &["deploy", "--apply"]] {
            let found = shop.0.run(command).any_stdout().any_stderr().status(2);
            assert!(found.stderr.contains(says), "{says}: {}", found.stderr);
        }
    }
    fs::remove_file(shop.path()).expect("remove the overlay");
    std::os::unix::fs::symlink("/dev/null", shop.path()).expect("make a link");
    let found = shop.0.run(["deploy"]).any_stdout().any_stderr().status(2);
    assert!(
        found.stderr.contains("is not a regular file"),
        "{}",
        found.stderr
    );
    assert_eq!(shop.file(UNIT), before);
}
