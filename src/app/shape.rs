//! The [`Shape`] of a service of an app.

use super::application::App;
use super::listen::Listen;
use super::service::{Service, Socket};
use crate::sandbox::build::{BUILD_NETWORK, BuildProgram, build_shape};
use crate::sandbox::prefix::Prefix;
use crate::sandbox::shape::{Listener, Needs, Shape};

impl App {
    /// What decides the hardening directives of a command of the build. `resolvers` are local addresses at
    /// which the host looks names up.
    pub fn build_shape(&self, program: BuildProgram, resolvers: &[Prefix]) -> Shape {
        let sandbox = &self.release.sandbox;
        let allow = sandbox.allow.iter().copied();
        build_shape(program, allow, &sandbox.outbound, resolvers)
    }

    /// The same for a command that needs no network, whatever the manifest allows.
    pub fn offline_build_shape(&self, program: BuildProgram) -> Shape {
        let allow = self.release.sandbox.allow.iter().copied();
        let allow = allow.filter(|name| !BUILD_NETWORK.contains(name));
        build_shape(program, allow, &[], &[])
    }

    /// What decides the hardening directives of a service.
    pub fn shape(&self, service: &Service) -> Shape {
        let sandbox = &service.sandbox;
        let directories = self.directories(service).into_iter();
        Shape::new(Needs {
            listener: listener(service),
            clients: service.clients(),
            outbound: sandbox.outbound.clone(),
            closed: Vec::new(),
            allow: sandbox.allow.clone(),
            files: sandbox.runtime_files.to_vec(),
            capabilities: sandbox.capabilities.clone(),
            devices: sandbox.devices.iter().map(ToString::to_string).collect(),
            directories: directories.map(|(_, path)| path).collect(),
            read_write: sandbox.read_write.iter().map(ToString::to_string).collect(),
        })
    }
}

fn listener(service: &Service) -> Listener {
    match service.socket {
        Socket::Direct if !service.listen.is_empty() => Listener::Own {
            ports: service.listen.iter().filter_map(Listen::port).collect(),
            public: service.listen.iter().any(Listen::is_public),
        },
        Socket::Proxy => Listener::Proxied,
        Socket::Activate | Socket::Direct => Listener::Inherited,
    }
}
