"""`faas image build | list`."""

from __future__ import annotations

from typing import Annotated

import typer

from faas_cli.console import console, note, print_json

app = typer.Typer(help="The guest image: kernel and root file system.", no_args_is_help=True)


@app.command()
def build(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Build the image from Debian packages; the same packages give the same bytes."""
    from faas_microvm.base import images_folder
    from faas_microvm.home import default_home, exclusive
    from faas_microvm.image import build_image
    from faas_microvm.recipe import RECIPES

    with exclusive(default_home(), "base"):
        image = build_image(RECIPES["base"], images_folder(), note)
    if as_json:
        print_json({"image_id": image.folder.name, "folder": str(image.folder), **_parts(image.manifest)})
    else:
        console.print(f"image {image.folder.name}\n  in {image.folder}")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show the images that were built on this machine."""
    from faas_microvm.base import images_folder
    from faas_microvm.image import list_images

    images = list_images(images_folder())
    if as_json:
        print_json({"images": [{"image_id": i.folder.name, **_parts(i.manifest)} for i in images]})
        return
    if not images:
        console.print("no image yet: `faas image build` makes one")
    for image in images:
        size = sum(path.stat().st_size for path in image.folder.iterdir()) >> 20
        print(f"{image.folder.name}  {size} MiB  {len(image.manifest.packages)} packages")


def _parts(manifest: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(manifest)  # type: ignore[call-overload,no-any-return]
