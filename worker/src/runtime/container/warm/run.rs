//! The loop that keeps a pool as it should be, while nothing more urgent happens. Receives what the shelf plans and what the
//! yard was left; ends when told, with everything gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::super::Error;
use super::super::image::{self, Image};
use super::super::reference::Reference;
use super::Pool;
use super::counts::count;
use super::network::Holder;
use super::ready::{Ready, Tools};
use super::shelf::{Plan, Recipe};

/// How often containers that stand are looked at when nothing happens: dead ones are replaced, idle ones go.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long the end waits for what is still being started or removed; the next sweep finds the rest.
const CLOSE_MAX: Duration = Duration::from_secs(30);

/// How a start ended.
enum Outcome {
    /// That of a warm container: the image's id and the container.
    Warm(Recipe, Result<(String, Ready), Error>),
    /// That of a network for others.
    Network(Recipe, Result<Holder, Error>),
}

pub(super) async fn run(pool: &Arc<Pool>, shutdown: CancellationToken) {
    let mut starts: JoinSet<Outcome> = JoinSet::new();
    loop {
        let (recipes, look_at) = tidy(pool).await;
        for recipe in recipes {
            starts.spawn(start(Arc::clone(pool), recipe));
        }
        for recipe in pool.networks.wanted() {
            starts.spawn(start_network(Arc::clone(pool), recipe));
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = starts.join_next() => shelve(pool, ended),
            () = pool.stirred.notified() => (),
            () = tokio::time::sleep_until(look_at) => (),
        }
    }
    pool.close();
    if tokio::time::timeout(CLOSE_MAX, close(pool, starts))
        .await
        .is_err()
    {
        tracing::warn!("some containers are left for the next sweep");
    }
}

/// Throws away what is not wanted; what is to be started, and when to look again.
async fn tidy(pool: &Arc<Pool>) -> (Vec<Recipe>, Instant) {
    for remains in pool.yard.left() {
        pool.yard.take(remains).await;
    }
    let dead = pool.shelf().sort_out(Ready::is_alive);
    for ready in dead {
        count(&pool.tally.died);
        ready.put_out().await;
    }
    for holder in pool.networks.too_old() {
        holder.put_out().await;
    }
    let later = Instant::now() + LOOK_EVERY;
    // A build that waits for its place comes first: the machine has only so many processors.
    if pool.is_provisioning() {
        return (Vec::new(), later);
    }
    let Plan {
        start,
        throw_away,
        again,
    } = pool.shelf().plan(Instant::now());
    for ready in throw_away {
        count(&pool.tally.unused);
        ready.put_out().await;
    }
    (start, again.unwrap_or(later).min(later))
}

async fn start(pool: Arc<Pool>, recipe: Recipe) -> Outcome {
    let started = start_one(&pool, &recipe).await;
    Outcome::Warm(recipe, started)
}

async fn start_network(pool: Arc<Pool>, recipe: Recipe) -> Outcome {
    let started = async {
        let (tools, image) = ground(&pool, &recipe).await?;
        Holder::start(tools, &recipe, &image).await
    };
    let started = started.await;
    Outcome::Network(recipe, started)
}

async fn start_one(pool: &Arc<Pool>, recipe: &Recipe) -> Result<(String, Ready), Error> {
    let (tools, image) = ground(pool, recipe).await?;
    if let Some(network) = pool.networks.take(recipe) {
        match Ready::start(tools.clone(), recipe, &image, Some(network)).await {
            Ok(ready) => return Ok((image.id, ready)),
            Err(error) => {
                let error = crate::chain(&error);
                tracing::debug!(%error, "a container could not join a network");
            }
        }
        let ready = Ready::start(tools, recipe, &image, None).await?;
        // It was the network's fault.
        pool.networks.failed(recipe);
        return Ok((image.id, ready));
    }
    let ready = Ready::start(tools, recipe, &image, None).await?;
    Ok((image.id, ready))
}

/// What containers of that kind are made with, and from.
async fn ground<'p>(pool: &'p Pool, recipe: &Recipe) -> Result<(Tools<'p>, Image), Error> {
    let options = recipe.options();
    let reference = Reference::parse(&options.image)?;
    let engine = pool.engine().await?;
    let image = image::provide(&engine, &pool.docker, &reference, options, &|_| ()).await;
    let image = image.inspect_err(|_| pool.forget_engine())?;
    let tools = Tools {
        runner: &pool.runner,
        home: &pool.home,
        engine,
        yard: &pool.yard,
    };
    Ok((tools, image))
}

fn shelve(pool: &Arc<Pool>, ended: Result<Outcome, JoinError>) {
    match ended.expect("starting does not panic and is not aborted") {
        Outcome::Warm(recipe, Ok((image_id, ready))) => {
            count(&pool.tally.started);
            pool.shelf().started(&recipe, &image_id, ready);
        }
        Outcome::Network(recipe, Ok(holder)) => pool.networks.made(&recipe, holder),
        Outcome::Network(recipe, Err(error)) => {
            let error = crate::chain(&error);
            tracing::debug!(%error, "no network is made for containers to join for now");
            pool.networks.failed(&recipe);
        }
        Outcome::Warm(recipe, Err(error)) => {
            count(&pool.tally.not_started);
            let (image, error) = (&recipe.options().image, crate::chain(&error));
            tracing::warn!(%image, %error, "no warm container can be started for now");
            pool.shelf().failed(&recipe, Instant::now());
        }
    }
}

async fn close(pool: &Arc<Pool>, mut starts: JoinSet<Outcome>) {
    while let Some(ended) = starts.join_next().await {
        shelve(pool, ended);
    }
    let unused = pool.shelf().clear();
    for ready in unused {
        count(&pool.tally.unused);
        ready.put_out().await;
    }
    for holder in pool.networks.close() {
        holder.put_out().await;
    }
    for remains in pool.yard.left() {
        pool.yard.take(remains).await;
    }
    pool.yard.close().await;
}
