//! Which cluster is meant, and how it is reached: a file that is named, those of `KUBECONFIG`, the one in the home folder,
//! or the service account of the Pod.
//!
//! Files are read with the reader that reads everything else, so that there is one of them in the program.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;

use super::documents;

/// The file, if one is named.
pub(super) async fn config(file: Option<&Path>) -> anyhow::Result<Config> {
    let kubeconfig = match file {
        Some(file) => Some(read(file)?),
        None => usual(std::env::var_os("KUBECONFIG").unwrap_or_default(), std::env::home_dir())?,
    };
    match kubeconfig {
        Some(kubeconfig) => {
            Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
        }
        None => Config::incluster().context("neither a kubeconfig nor a service account"),
    }
}

/// Of several files the first to say something counts. Those that are not there say nothing.
fn usual(named: impl AsRef<std::ffi::OsStr>, home: Option<PathBuf>) -> anyhow::Result<Option<Kubeconfig>> {
    let mut files: Vec<PathBuf> = std::env::split_paths(named.as_ref()).collect();
    files.retain(|file| !file.as_os_str().is_empty());
    if files.is_empty() {
        files.extend(home.map(|home| home.join(".kube").join("config")));
    }
    let mut merged: Option<Kubeconfig> = None;
    for file in files.iter().filter(|file| file.exists()) {
        let next = read(file)?;
        merged = Some(match merged {
            Some(before) => before.merge(next)?,
            None => next,
        });
    }
    Ok(merged)
}

fn read(file: &Path) -> anyhow::Result<Kubeconfig> {
    let name = || file.display().to_string();
    let bytes = std::fs::read(file).with_context(name)?;
    let documents =
        documents::read(&bytes).map_err(|unreadable| anyhow!("{unreadable}")).with_context(name)?;
    let mut whole = Kubeconfig::default();
    for document in documents {
        let mut read = Kubeconfig::deserialize(document.value).with_context(name)?;
        if let Some(folder) = file.parent() {
            resolve(&mut read, folder);
        }
        whole = whole.merge(read).with_context(name)?;
    }
    Ok(whole)
}

/// Files beside a kubeconfig are named as seen from there.
fn resolve(kubeconfig: &mut Kubeconfig, folder: &Path) {
    let absolute = |path: &mut Option<String>| {
        if let Some(path) = path.as_mut().filter(|path| Path::new(path).is_relative()) {
            *path = folder.join(&path).display().to_string();
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|it| it.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut()) {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
        // A name without a folder is looked for where programs are.
        if let Some(exec) =
            user.exec.as_mut().filter(|it| it.command.as_ref().is_some_and(|it| it.contains('/')))
        {
            absolute(&mut exec.command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "apiVersion: v1\nkind: Config\ncurrent-context: one\n\
        clusters:\n- name: one\n  cluster: {server: \"https://one:6443\", certificate-authority: pki/ca.crt}\n\
        users:\n- name: admin\n  user: {client-certificate: /abs.crt, client-key: a.key, exec: {command: ./helper}}\n\
        contexts:\n- name: one\n  context: {cluster: one, user: admin}\n";
    const TWO: &str =
        "current-context: two\nclusters:\n- name: two\n  cluster: {server: \"https://two:6443\"}\n";

    #[test]
    fn files_are_found_merged_and_resolved() {
        let folder = std::env::temp_dir().join(format!("ferrolb-kubeconfig-{}", std::process::id()));
        std::fs::create_dir_all(folder.join(".kube")).unwrap();
        let (one, two, home) = (folder.join("one"), folder.join("two"), folder.join(".kube").join("config"));
        std::fs::write(&one, ONE).unwrap();
        std::fs::write(&two, TWO).unwrap();
        std::fs::write(&home, TWO).unwrap();

        let read = read(&one).unwrap();
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        let expected = folder.join("pki/ca.crt").display().to_string();
        assert_eq!(cluster.certificate_authority.as_ref(), Some(&expected));
        let user = read.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.client_certificate.as_deref(), Some("/abs.crt"));
        assert_eq!(user.client_key, Some(folder.join("a.key").display().to_string()));
        let command = user.exec.as_ref().unwrap().command.as_deref();
        assert_eq!(command, Some(&*folder.join("./helper").display().to_string()));

        let absent = folder.join("absent");
        let named = std::env::join_paths([&absent, &one, &two]).unwrap();
        let merged = usual(named, Some(folder.clone())).unwrap().unwrap();
        assert_eq!((merged.current_context.as_deref(), merged.clusters.len()), (Some("one"), 2));
        let of_home = usual("", Some(folder.clone())).unwrap().unwrap();
        assert_eq!(of_home.current_context.as_deref(), Some("two"));
        assert!(usual(&absent, None).unwrap().is_none());

        std::fs::write(&two, "clusters: 5\n").unwrap();
        let error = format!("{:#}", super::read(&two).unwrap_err());
        assert!(error.contains("two") && error.contains("expected a sequence"), "{error}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
