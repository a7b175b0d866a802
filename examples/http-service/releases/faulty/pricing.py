"""What an item costs, with a discount that was forgotten for every tenth of them: those requests fail."""

DISCOUNTS = {digit: 5 * digit for digit in range(1, 10)}


def price(item):
    cents = 100 + 7 * item - DISCOUNTS[item % 10]
    return f"{cents // 100}.{cents % 100:02} EUR"
