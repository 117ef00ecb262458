"""The few words that the server itself says to viewers, in their language."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Language = Literal["en", "es", "de", "fr"]
Ending = Literal["gone", "expired", "arrived", "later", "busy"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "es", "de", "fr")


class Text(NamedTuple):
    """A title and a sentence."""

    title: str
    sentence: str


ENDINGS: Final[dict[Language, dict[Ending, Text]]] = {
    "en": {
        "gone": Text("This link does not exist", "It may have been withdrawn. Ask whoever sent it to you."),
        "expired": Text("This link has ended", "Nothing is shown here any more. Ask whoever sent it to you."),
        "arrived": Text("It has arrived", "The journey that this link showed is over."),
        "later": Text("This link has not started yet", "Come back later."),
        "busy": Text("Too many requests", "Please wait a minute and try again."),
    },
    "es": {
        "gone": Text("Este enlace no existe", "Puede que se haya retirado. Pregunte a quien se lo envió."),
        "expired": Text("Este enlace ha terminado", "Aquí ya no se muestra nada. Pregunte a quien se lo envió."),
        "arrived": Text("Ha llegado", "El trayecto que mostraba este enlace ha terminado."),
        "later": Text("Este enlace aún no ha comenzado", "Vuelva más tarde."),
        "busy": Text("Demasiadas solicitudes", "Espere un minuto y vuelva a intentarlo."),
    },
    "de": {
        "gone": Text(
            "Diesen Link gibt es nicht", "Vielleicht wurde er zurückgezogen. Fragen Sie, wer ihn geschickt hat."
        ),
        "expired": Text(
            "Dieser Link ist abgelaufen", "Hier wird nichts mehr gezeigt. Fragen Sie, wer ihn geschickt hat."
        ),
        "arrived": Text("Angekommen", "Die Fahrt, die dieser Link zeigte, ist am Ziel."),
        "later": Text("Dieser Link gilt noch nicht", "Kommen Sie später wieder."),
        "busy": Text("Zu viele Anfragen", "Bitte warten Sie eine Minute und versuchen Sie es noch einmal."),
    },
    "fr": {
        "gone": Text(
            "Ce lien n\u2019existe pas",
            "Il a peut-être été retiré. Adressez-vous à la personne qui l\u2019a envoyé.",
        ),
        "expired": Text(
            "Ce lien a pris fin", "Plus rien n\u2019est affiché ici. Adressez-vous à qui vous l\u2019a envoyé."
        ),
        "arrived": Text("Arrivé à destination", "Le trajet que montrait ce lien est terminé."),
        "later": Text("Ce lien n\u2019est pas encore actif", "Revenez plus tard."),
        "busy": Text("Trop de requêtes", "Veuillez patienter une minute, puis réessayer."),
    },
}

LAST_SEEN: Final[dict[Language, str]] = {
    "en": "{name}: {near}, {time} ({zone})",
    "es": "{name}: {near}, {time} ({zone})",
    "de": "{name}: {near}, {time} Uhr ({zone})",
    "fr": "{name} : {near}, {time} ({zone})",
}
NO_POSITION: Final[dict[Language, str]] = {
    "en": "{name}: no position is shown now",
    "es": "{name}: ahora no se muestra ninguna posición",
    "de": "{name}: zurzeit wird keine Position gezeigt",
    "fr": "{name} : aucune position affichée pour le moment",
}


def language_of(accept_language: str) -> Language:
    """The best of ours by an Accept-Language header; English where it names none, or is nonsense."""
    best: Language = "en"
    best_weight = 0.0
    for part in accept_language.split(",")[:20]:
        tag, _, weight_text = part.partition(";")
        code = tag.strip().lower().partition("-")[0]
        weight = _weight(weight_text)
        for language in LANGUAGES:
            if code == language and weight > best_weight:
                best, best_weight = language, weight
    return best


def _weight(text: str) -> float:
    text = text.strip()
    if not text:
        return 1.0
    digits = text.removeprefix("q=")
    return float(digits) if digits.replace(".", "", 1).isdecimal() and digits.isascii() else 0.0
