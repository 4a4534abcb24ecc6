//! The [`Shape`] of a service of an app.

use super::application::App;
use super::listen::Listen;
use super::service::{Service, Socket};
use crate::sandbox::shape::{Listener, Needs, Shape};

impl App {
    /// What decides the hardening directives of a service.
    pub fn shape(&self, service: &Service) -> Shape {
        let sandbox = &service.sandbox;
        let directories = self.directories(service).into_iter();
        Shape::new(Needs {
            listener: listener(service),
            clients: service.clients(),
            outbound: sandbox.outbound.clone(),
            allow: sandbox.allow.clone(),
            files: sandbox.runtime_files,
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
