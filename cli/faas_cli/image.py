"""`faas image build [NAME] | list`."""

from __future__ import annotations

from typing import Annotated

import typer

from faas_cli.console import console, note, print_json

app = typer.Typer(help="Guest images: kernel and root file system.", no_args_is_help=True)


Name = Annotated[str, typer.Argument(help="base, rust, go or typescript.")]


@app.command()
def build(
    name: Name = "base",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Build an image from Debian packages; the same packages give the same bytes."""
    from faas_microvm.base import find_recipe, images_folder, recipe_home
    from faas_microvm.home import exclusive
    from faas_microvm.image import build_image

    home = recipe_home(name)
    with exclusive(home, name):
        image = build_image(find_recipe(name), images_folder(home), note)
    if as_json:
        print_json({"image_id": image.folder.name, "folder": str(image.folder), **_parts(image.manifest)})
    else:
        console.print(f"image {image.folder.name}\n  in {image.folder}")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show the images that were built on this machine."""
    from faas_microvm.base import images_folder, recipe_home
    from faas_microvm.image import list_images
    from faas_microvm.recipe import RECIPES

    images = [(name, image) for name in RECIPES for image in list_images(images_folder(recipe_home(name)))]
    if as_json:
        rows = [{"name": name, "image_id": i.folder.name, **_parts(i.manifest)} for name, i in images]
        print_json({"images": rows})
        return
    if not images:
        console.print("no image yet: `faas image build` makes one")
    for name, image in images:
        size = sum(path.stat().st_size for path in image.folder.iterdir()) >> 20
        print(f"{image.folder.name}  {name}  {size} MiB  {len(image.manifest.packages)} packages")


def _parts(manifest: object) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(manifest)  # type: ignore[call-overload,no-any-return]
