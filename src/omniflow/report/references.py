"""References: what a study rests on, as BibTeX."""

from __future__ import annotations

_PREPRINT = """@misc{{{key},
  author = {{{authors}}},
  title = {{{{{title}}}}},
  year = {{{year}}},
  eprint = {{{eprint}}},
  archivePrefix = {{arXiv}}
}}"""
_ARTICLE = """@article{{{key},
  author = {{{authors}}},
  title = {{{{{title}}}}},
  journal = {{{journal}}},
  volume = {{{volume}}},
  pages = {{{pages}}},
  year = {{{year}}},
  doi = {{{doi}}}{eprint}
}}"""
_EPRINT = ",\n  eprint = {{{}}},\n  archivePrefix = {{arXiv}}"


def _preprint(authors: str, title: str, year: int, eprint: str) -> dict[str, str]:
    return {"authors": authors, "title": title, "year": str(year), "eprint": eprint}


def _article(
    authors: str, title: str, year: int, journal: str, volume: str, pages: str, doi: str,
    eprint: str = "",
) -> dict[str, str]:  # fmt: skip
    found = {"authors": authors, "title": title, "year": str(year), "journal": journal}
    found |= {"volume": volume, "pages": pages, "doi": doi}
    return found | {"eprint": _EPRINT.format(eprint) if eprint else ""}


_KNOWN = {
    "omnifold": _article(
        "Andreassen, Anders and Komiske, Patrick T. and Metodiev, Eric M. and Nachman, Benjamin "
        "and Thaler, Jesse",
        "OmniFold: A Method to Simultaneously Unfold All Observables",
        2020, "Phys. Rev. Lett.", "124", "182001", "10.1103/PhysRevLett.124.182001", "1911.09107",
    ),
    "multifold": _preprint(
        "Andreassen, Anders and Komiske, Patrick T. and Metodiev, Eric M. and Nachman, Benjamin "
        "and Suresh, Adi and Thaler, Jesse",
        "Scaffolding Simulations with Deep Learning for High-dimensional Deconvolution",
        2021, "2105.04448",
    ),
    "stabilizing": _preprint(
        "Torales Acosta, Fernando and Wamorkar, Tanvi and Mikuni, Vinicius and Nachman, Benjamin",
        "Stabilizing Neural Likelihood Ratio Estimation", 2025, "2503.20753",
    ),
    "omnilearn": _preprint(
        "Mikuni, Vinicius and Nachman, Benjamin",
        "OmniLearn: A Method to Simultaneously Facilitate All Jet Physics Tasks",
        2024, "2404.16091",
    ),
    "deepsets": _article(
        "Komiske, Patrick T. and Metodiev, Eric M. and Thaler, Jesse",
        "Energy Flow Networks: Deep Sets for Particle Jets",
        2019, "JHEP", "01", "121", "10.1007/JHEP01(2019)121", "1810.05165",
    ),
    "ecd": _preprint(
        "De Luca, G. Bruno and Nachman, Benjamin and Silverstein, Eva and Zheng, Henry",
        "Optimizers for Stabilizing Likelihood-free Inference", 2025, "2501.18419",
    ),
    "lion": _preprint(
        "Chen, Xiangning and Liang, Chen and Huang, Da and Real, Esteban and Wang, Kaiyuan and "
        "Liu, Yao and Pham, Hieu and Dong, Xuanyi and Luong, Thang and Hsieh, Cho-Jui and "
        "Lu, Yifeng and Le, Quoc V.",
        "Symbolic Discovery of Optimization Algorithms", 2023, "2302.06675",
    ),
    "adam": _preprint(
        "Kingma, Diederik P. and Ba, Jimmy",
        "Adam: A Method for Stochastic Optimization", 2014, "1412.6980",
    ),
    "adamw": _preprint(
        "Loshchilov, Ilya and Hutter, Frank",
        "Decoupled Weight Decay Regularization", 2017, "1711.05101",
    ),
    "ibu": _article(
        "D'Agostini, G.", "A Multidimensional unfolding method based on Bayes' theorem",
        1995, "Nucl. Instrum. Meth. A", "362", "487--498", "10.1016/0168-9002(95)00274-X",
    ),
}  # fmt: skip


def bibtex(keys: list[str], version: str) -> str:
    """Return the entries of `keys`; `omniflow` is the version that made the study."""
    return "\n\n".join(_entry(key, version) for key in keys)


def _entry(key: str, version: str) -> str:
    if key == "omniflow":
        return (
            "@software{omniflow,\n  author = {{The omniflow developers}},\n"
            "  title = {{omniflow: Unbinned unfolding with ensembles of classifiers}},\n"
            f"  version = {{{version}}}\n}}"
        )
    fields = _KNOWN[key]
    return (_ARTICLE if "journal" in fields else _PREPRINT).format(key=key, **fields)
