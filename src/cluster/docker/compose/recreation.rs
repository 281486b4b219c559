//! Replaces a container of a project by one with the same configuration, name, addresses and labels, and an empty disk. Compose
//! itself would give it another number, and so another place behind the balancer.

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, NetworkConnectRequest, NetworkingConfig, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};

use crate::cluster::ClusterError;
use crate::cluster::docker::{Engine, RUN_LABEL};

/// Replaces a container that does not run. The project's volumes that it alone uses are emptied.
///
/// # Errors
/// When the engine refuses something, or another container uses the same volume.
pub async fn recreate(engine: &Engine, container: &str) -> Result<(), ClusterError> {
    let failed = |error: Error| ClusterError::new(format!("making {container} anew"), error.to_string());
    let inspected =
        engine.docker.inspect_container(container, None::<InspectContainerOptions>).await.map_err(failed)?;
    let unreadable =
        |error: serde_json::Error| ClusterError::new(format!("reading how {container} was made"), error.to_string());
    let mut body: ContainerCreateBody = serde_json::to_value(inspected.config.unwrap_or_default())
        .and_then(serde_json::from_value)
        .map_err(unreadable)?;
    body.host_config = inspected.host_config;
    let endpoints = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut endpoints = endpoints.into_iter().map(|(network, endpoint)| (network, as_asked(endpoint)));
    body.networking_config = endpoints.next().map(|first| NetworkingConfig { endpoints_config: Some([first].into()) });
    let options = RemoveContainerOptionsBuilder::new().v(true).build();
    engine.docker.remove_container(container, Some(options)).await.map_err(failed)?;
    for mount in inspected.mounts.unwrap_or_default() {
        if let (Some("volume"), Some(volume)) = (mount.typ.as_deref(), mount.name) {
            empty(engine, &volume).await.map_err(failed)?;
        }
    }
    let options = CreateContainerOptionsBuilder::new().name(container).build();
    engine.docker.create_container(Some(options), body).await.map_err(failed)?;
    for (network, settings) in endpoints {
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(settings) };
        engine.docker.connect_network(&network, request).await.map_err(failed)?;
    }
    Ok(())
}

/// What was asked for when the container was connected, without what the engine made of it.
fn as_asked(endpoint: EndpointSettings) -> EndpointSettings {
    EndpointSettings { ipam_config: endpoint.ipam_config, aliases: endpoint.aliases, ..EndpointSettings::default() }
}

/// Empties a volume of the project. Anonymous ones are gone with their container, and others are not the project's.
async fn empty(engine: &Engine, volume: &str) -> Result<(), Error> {
    let inspected = match engine.docker.inspect_volume(volume).await {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
        inspected => inspected?,
    };
    if !inspected.labels.contains_key(RUN_LABEL) {
        return Ok(());
    }
    engine.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await?;
    let request = VolumeCreateRequest {
        name: Some(inspected.name),
        driver: Some(inspected.driver),
        driver_opts: Some(inspected.options),
        labels: Some(inspected.labels),
        ..VolumeCreateRequest::default()
    };
    engine.docker.create_volume(request).await.map(drop)
}
