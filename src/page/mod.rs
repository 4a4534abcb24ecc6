//! placeholder
use anyhow::Result;
/// Serves.
pub fn serve(_host: &crate::host::Host, _version: &std::path::Path) -> Result<()> {
    Ok(())
}
