"""What an item costs."""


def price(item):
    return f"{100 + 7 * item} cents"
