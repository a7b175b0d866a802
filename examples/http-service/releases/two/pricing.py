"""What an item costs, in whole euros and cents."""


def price(item):
    cents = 100 + 7 * item
    return f"{cents // 100}.{cents % 100:02} EUR"
