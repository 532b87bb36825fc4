"""The test cluster of this repository; see the README beside this file."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable

import apiserver
import cluster
import current
import debian
from binaries import KUBERNETES_TOOLS, PROGRAMS, bin_folder, build
from gateway import gateway_down, gateway_up
from imagebuild import PRODUCT, RECIPES, build_images, recorded_images
from imageload import load_by_hook, load_into_node
from metrics import metrics_down, metrics_up
from progress import Failed, say
from services import services_down, services_up
from settings import DEFAULT_NAME, Layout, chosen_cluster


def main(argv: list[str]) -> int:
    """Run one command; the exit code is 1 when it failed."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments) or 0)
    except Failed as error:
        say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 hack/cluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        command.add_argument("--name", default=DEFAULT_NAME, help="name of the cluster (default: %(default)s)")
        return command

    add("up", _up, "bring the cluster up; mends a damaged one, leaves a healthy one alone")
    add("down", _down, "end the cluster and remove all it made; the cache of binaries and images stays")
    add("status", _status, "what runs and where it answers").add_argument("--json", action="store_true")
    add("kubeconfig", _kubeconfig, "print the path of the kubeconfig")
    add("load", _load, "bring a built image into the cluster").add_argument("image")
    images = add("images", _images, "build images; prints NAME=IMAGE:TAG for each")
    images.add_argument(
        "images", nargs="*", metavar="NAME", help=f"of {', '.join(RECIPES)}; default: {' '.join(PRODUCT)}"
    )
    images.add_argument("--load", action="store_true", help="load them into the cluster as well")
    services = add("services", _services, "S3, Prometheus and Alertmanager in the cluster")
    services.add_argument("action", choices=["up", "down"])
    gateway = add("gateway", _gateway, "a gateway of the Gateway API in the cluster: Contour and Envoy")
    gateway.add_argument("action", choices=["up", "down"])
    metrics = add("metrics", _metrics, "metrics-server beside the node: CPU and memory of pods, for autoscalers")
    metrics.add_argument("action", choices=["up", "down"])
    light = add("apiserver", _apiserver, "a light cluster: etcd and API server on loopback ports, no nodes")
    light.add_argument("action", choices=["up", "down", "status", "kubeconfig"])
    light.add_argument("--port", type=int, default=0, help="port of the API server (default: any free one)")
    light.add_argument("--controller-manager", action="store_true", help="run kube-controller-manager too")
    light.set_defaults(name="apiserver")
    add("bin", _bin, "build all programs that are missing and print their folder")
    add("install-deps", _install_deps, "install the Debian packages and build the programs that are missing")
    return parser


@functools.cache
def _is_current() -> bool:
    choice, reason = chosen_cluster()
    say(f"cluster: {choice} ({reason})")
    return choice == "current"


def _up(arguments: argparse.Namespace) -> None:
    if _is_current():
        say(f"your cluster answers: {current.check()}")
    else:
        print(cluster.up(arguments.name).kubeconfig)


def _down(arguments: argparse.Namespace) -> None:
    if _is_current():
        say("your own cluster stays as it is")
    else:
        cluster.down(arguments.name)


def _status(arguments: argparse.Namespace) -> int:
    state = current.status() if _is_current() else cluster.status(arguments.name)
    _show(state, arguments.json)
    return 0 if state["healthy"] else 1


def _show(state: dict[str, object], as_json: bool) -> None:
    if as_json:
        print(json.dumps(state, indent=1))
        return
    for key, value in state.items():
        print(f"{key}: {' '.join(f'{k}={v}' for k, v in value.items()) if isinstance(value, dict) else value}")


def _kubeconfig(arguments: argparse.Namespace) -> None:
    print(current.kubeconfig() if _is_current() else Layout(arguments.name).kubeconfig)


def _load(arguments: argparse.Namespace) -> None:
    if _is_current():
        load_by_hook(arguments.image)
    elif not load_into_node(Layout(arguments.name), arguments.image):
        say(f"{arguments.image} is there already")


def _images(arguments: argparse.Namespace) -> None:
    if unknown := set(arguments.images) - set(RECIPES):
        raise Failed(f"there is no image {', '.join(sorted(unknown))}; known: {', '.join(RECIPES)}")
    built = build_images(arguments.images or PRODUCT)
    if arguments.load:
        for image in built.values():
            _load(argparse.Namespace(image=image, name=arguments.name))
    for name, image in built.items():
        print(f"{name}={image}")


def _services(arguments: argparse.Namespace) -> None:
    in_current = _is_current()
    kubeconfig = current.kubeconfig() if in_current else Layout(arguments.name).kubeconfig
    if arguments.action == "down":
        services_down(kubeconfig)
        return
    for image in build_images(["s3", "monitoring"]).values():
        _load(argparse.Namespace(image=image, name=arguments.name))
    services_up(kubeconfig, recorded_images())


def _gateway(arguments: argparse.Namespace) -> None:
    kubeconfig = current.kubeconfig() if _is_current() else Layout(arguments.name).kubeconfig
    if arguments.action == "down":
        gateway_down(kubeconfig)
        return
    image = build_images(["gateway"])["gateway"]
    _load(argparse.Namespace(image=image, name=arguments.name))
    gateway_up(kubeconfig, image)


def _metrics(arguments: argparse.Namespace) -> None:
    if _is_current():
        raise Failed("your own cluster keeps the metrics-server that it has")
    (metrics_up if arguments.action == "up" else metrics_down)(Layout(arguments.name))


def _apiserver(arguments: argparse.Namespace) -> int:
    if arguments.action == "up":
        layout = apiserver.up(arguments.name, port=arguments.port, controller_manager=arguments.controller_manager)
        print(layout.kubeconfig)
    elif arguments.action == "down":
        apiserver.down(arguments.name)
    elif arguments.action == "kubeconfig":
        print(Layout(arguments.name).kubeconfig)
    else:
        state = apiserver.status(arguments.name)
        _show(state, as_json=True)
        return 0 if state["healthy"] else 1
    return 0


def _bin(_: argparse.Namespace) -> None:
    build(*KUBERNETES_TOOLS, *PROGRAMS)
    print(bin_folder())


def _install_deps(_: argparse.Namespace) -> None:
    debian.install(debian.FULL)
    debian.install(debian.BUILD)
    debian.install(debian.BROWSER)
    build(*KUBERNETES_TOOLS, *PROGRAMS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
