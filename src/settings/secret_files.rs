//! The files of secrets: the value in use in `/etc/<app>/credentials`, and the previous one in
//! `/etc/<app>/credentials.previous`.
//!
//! Each step is one rename(2), so a command that is killed leaves a whole value. The value in use is never
//! missing in between.

use super::secret_value::{MAX_SECRET_BYTES, SecretValue};
use crate::app::Layout;
use crate::host::Root;
use anyhow::Result;

/// The files of the secrets of an app.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SecretFiles<'a> {
    root: &'a Root,
    layout: &'a Layout,
}

impl<'a> SecretFiles<'a> {
    /// The files below a root.
    pub(crate) fn new(root: &'a Root, layout: &'a Layout) -> Self {
        Self { root, layout }
    }

    /// The value in use; `None` if there is none that systemd can load.
    ///
    /// # Errors
    /// When the file cannot be read, as by a user who is not root.
    pub(crate) fn value(&self, name: &str) -> Result<Option<SecretValue>> {
        self.read(&self.layout.credential(name))
    }

    /// The previous value, if one is kept.
    ///
    /// # Errors
    /// When the file cannot be read, as by a user who is not root.
    pub(crate) fn previous(&self, name: &str) -> Result<Option<SecretValue>> {
        self.read(&self.layout.previous_credential(name))
    }

    fn read(&self, path: &str) -> Result<Option<SecretValue>> {
        let meta = self.root.meta_followed(path)?;
        let is_file = meta.is_some_and(|meta| meta.is_file() && meta.len <= MAX_SECRET_BYTES);
        let bytes = if is_file { self.root.read(path)? } else { None };
        Ok(bytes.and_then(|bytes| SecretValue::new(bytes).ok()))
    }

    /// Makes a value the previous one.
    ///
    /// # Errors
    /// The operating system's, with the path.
    pub(crate) fn keep(&self, name: &str, old: &SecretValue) -> Result<()> {
        self.root
            .make_dir(&self.layout.previous_credentials(), 0o700)?;
        let path = self.layout.previous_credential(name);
        self.root.write_atomic(&path, old.bytes(), 0o600)
    }

    /// Makes a value the one in use.
    ///
    /// # Errors
    /// The operating system's, with the path. Then the old value is in use, or the new one, which may not be
    /// durable.
    pub(crate) fn write(&self, name: &str, value: &SecretValue) -> Result<()> {
        self.root.make_dir(&self.layout.etc(), 0o755)?;
        self.root.make_dir(&self.layout.credentials(), 0o700)?;
        let path = self.layout.credential(name);
        self.root.write_atomic(&path, value.bytes(), 0o600)
    }

    /// Exchanges the value in use and the previous one.
    ///
    /// # Errors
    /// The operating system's, with the paths.
    pub(crate) fn exchange(&self, name: &str) -> Result<()> {
        let previous = self.layout.previous_credential(name);
        self.root.exchange(&previous, &self.layout.credential(name))
    }

    /// Makes the previous value the one in use, and keeps no other. Does nothing if there is none, so that it can be
    /// repeated.
    ///
    /// # Errors
    /// The operating system's, with the paths.
    pub(crate) fn restore(&self, name: &str) -> Result<()> {
        let previous = self.layout.previous_credential(name);
        if self.root.meta(&previous)?.is_none() {
            return Ok(());
        }
        self.root.rename(&previous, &self.layout.credential(name))
    }
}

#[cfg(test)]
mod tests {
    use super::SecretFiles;
    use crate::app::{Layout, Name};
    use crate::host::Root;
    use crate::settings::secret_value::SecretValue;

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.into()).unwrap()
    }

    #[test]
    fn the_old_value_is_kept_and_is_restored_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        root.make_dir("/etc", 0o755).unwrap();
        let layout = Layout::new(&Name::parse("shop").unwrap());
        let files = SecretFiles::new(&root, &layout);
        let both = || (files.value("KEY").unwrap(), files.previous("KEY").unwrap());
        assert_eq!(both(), (None, None));
        files.restore("KEY").unwrap();
        files.write("KEY", &value("1")).unwrap();
        assert_eq!(both(), (Some(value("1")), None));
        files.keep("KEY", &value("1")).unwrap();
        files.write("KEY", &value("2")).unwrap();
        assert_eq!(both(), (Some(value("2")), Some(value("1"))));
        files.write("KEY", &value("3")).unwrap();
        assert_eq!(both(), (Some(value("3")), Some(value("1"))));
        files.exchange("KEY").unwrap();
        assert_eq!(both(), (Some(value("1")), Some(value("3"))));
        files.exchange("KEY").unwrap();
        for _ in 0..2 {
            files.restore("KEY").unwrap();
            assert_eq!(both(), (Some(value("1")), None));
        }
        for (path, mode) in [
            (layout.credential("KEY"), 0o600),
            (layout.credentials(), 0o700),
            (layout.previous_credentials(), 0o700),
        ] {
            assert_eq!(root.meta(&path).unwrap().unwrap().mode, mode, "{path}");
        }
    }
}
