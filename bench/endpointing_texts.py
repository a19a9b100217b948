"""What the people of the labelled set say: sentences and voices, those for development apart from those for the report.

A line is one turn. At `|` the person may pause although nobody could take what was said for whole; at `/` what was said
could be whole, and they go on. Words in braces are filled in. It knows nothing of sound, and nothing of the endpointer.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Material(Struct, frozen=True):
    """One part of the set. No line, filling or voice of one part is in the other."""

    lines: tuple[str, ...]
    fillings: Mapping[str, tuple[str, ...]]
    voices: tuple[str, ...]
    """Of espeak-ng."""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.strip().splitlines() if part.strip())


def _filled(**words: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(part.strip() for part in text.split(",")) for name, text in words.items()}


DEVELOPMENT = Material(
    lines=_listed("""
        Set a timer for | {minutes} minutes.
        Set a timer for {minutes} minutes / and another one for the | eggs.
        What time is it?
        What time is it / in | {city}?
        Yes.
        No.
        Yes please.
        No thanks / I already | had some.
        Okay / let's do | that one.
        Could you tell me | how far it is to | {city}?
        I would like to | book a table for {few} people.
        I would like to book a table / for {few} people / on {day} evening.
        I'm looking for a | {thing} / for my | brother.
        I need a taxi / tomorrow morning / at about | {hour}.
        Turn on the | lights in the {room}.
        Turn on the lights / in the {room} / and close the | curtains.
        My phone number is | {digits} / {digits} / {digits}.
        The order number is {digits} / {digits}.
        It's {digits} | {digits}.
        Add | {food} / {food} / and {food} | to my shopping list.
        We need {food} / {food} / {food}.
        I want to buy | {food}, {food} | and some {food}.
        When I get home tonight | please turn the heating | up.
        If it rains tomorrow | I will stay at home.
        Because the train was late | we missed the | beginning of the film.
        I think that | we should leave at | {hour}.
        I think we should go / before it gets too | dark.
        The meeting went well / but I am not sure | what they will decide.
        I was in {city} last week / and it was raining | the whole time.
        Play some | music.
        Play the new song by | {name}.
        Call {name}.
        Call {name} / and tell her that | I will be late.
        Send a message to {name} / saying that dinner is | at {hour}.
        Do you know | whether the museum is open on {day}?
        Is it going to rain / on {day}?
        How much does the | {thing} cost?
        Remind me to call the | dentist.
        Remind me on {day} / to | water the plants.
        My {thing} is broken / and I would like to | have it repaired.
        I bought it | two weeks ago / in your shop in | {city}.
        The address is | {number} / {street} street.
        I live at {number} {street} street / in {city}.
        Let me think / maybe | {day} would be better.
        Actually / make that | {few} people.
        I'm not sure / what do you | recommend?
        That sounds good.
        That sounds good / how long does it | take?
        Tell me a story / about a | dragon / and a little | {animal}.
        What is the | capital of the country where | {city} is?
        My {animal} | has not eaten anything since | {day}.
        My {animal} is ill / since {day} / he doesn't | want to eat.
        Thank you.
        Thank you very much / that was all | I wanted to know.
        Can you explain | how a {thing} works?
        I have a reservation / under the name of | {name}.
        The name is {name} / with a | double t at the end.
        Wait a second / I have to | find my glasses.
        You know | I have always wanted to | learn to play the piano.
        Cancel the | alarm / and wake me at | {hour} instead.
        The red one / or maybe the | blue one.
        Which of the two | is cheaper?
        I don't | really like the second one.
        I don't like it / it's too | heavy.
        My sister | who lives in {city} | is coming on {day}.
        The thing is that | I have to be at the airport by | {hour}.
    """),
    fillings=_filled(
        minutes="five, ten, twelve, twenty, forty five, three",
        city="Boston, Chicago, Berlin, Denver, Madrid, Toronto",
        day="Monday, Wednesday, Friday",
        few="two, four, six",
        hour="seven, half past eight, nine, a quarter to ten, six thirty",
        thing="camera, washing machine, bicycle, radio, printer",
        room="kitchen, bedroom, hall",
        food="milk, bread, apples, cheese, coffee, rice",
        digits="five five two, eight one nine, four four, three zero seven, six two, nine one eight four",
        number="twelve, thirty four, two hundred and six",
        street="Maple, River, Station",
        name="Peter, Susan, Mister Miller, Anna",
        animal="dog, cat, parrot",
    ),
    voices=("en-us+m1", "en-us+m3", "en-us+m5", "en-us+m7", "en-us+f1", "en-us+f3", "en-us+f5", "en-us+Michael",
            "en-us+Andy", "en-us+max", "en-us+steph", "en-us+rob", "en+m1", "en+f1"),
)  # fmt: skip

REPORT = Material(
    lines=_listed("""
        I'd like to open an | account.
        I'd like to open an account / for my | daughter / who is {age} years old.
        How can I | change my password?
        I forgot my password / and now the page says | it is locked.
        Good morning.
        Good morning / I have a question about my | last invoice.
        Hello / is this the | {office}?
        Sure.
        Never mind.
        Not really.
        Yes / that's right / but I also want the | {extra}.
        No / I said the | {colour} one.
        My date of birth is | the {ordinal} of {month} / nineteen | {year}.
        My card ends in | {code} / {code}.
        The reference is {code} / {code} / {code}.
        You can reach me at {code} | {code} / {code}.
        I'll have the | {dish}.
        I'll have the {dish} / with a | {drink} / and the {extra} on the side.
        Two {drink}s please / and a | {dish}.
        We would like the {dish} / the {dish} / and two {drink}s.
        For the party I need | {item} / {item} / and about twenty | {item}.
        There were {item}, {item} | and a lot of {item} | on the floor.
        Could we have the | bill please?
        Where is the | nearest pharmacy?
        Where is the station / and how do I | get there from here?
        I have had a | headache since {month}.
        My knee hurts / when I | climb the stairs.
        It hurts / mostly | in the morning.
        I take | two of the {colour} pills / every day / after | breakfast.
        Since I changed the | battery | it has been working again.
        As soon as the parcel arrives | give me a | call.
        After the update was installed | the screen stayed black.
        Although we paid in advance | nobody had | heard of us.
        While I was waiting for the bus | I saw your | advertisement.
        My flight was cancelled / so I need a | hotel / near the {place}.
        Is there a flight to {town} / that leaves | after lunch?
        I want to go to {town} / and come back | a week later.
        We are travelling with | two children / and a | {pet}.
        The window seat / if it's still | available.
        Could you put me through to | Doctor {surname}?
        This is {surname} speaking / I am calling because of the | flat in the {place}.
        Please write to | {surname} / that the contract is | ready.
        Does the offer include | breakfast?
        Are you open / on public | holidays?
        Will it be ready / by the end of | {month}?
        Who wrote the | book that we talked about yesterday?
        Why is the sky blue?
        I was wondering | if you could help me with | my homework.
        The computer makes a strange noise / whenever I | open the mail program.
        I pressed the {colour} button / nothing | happened.
        I tried it twice / then I | gave up.
        The one on the left / no wait / the one | next to it.
        Skip this one / I have | heard it already.
        Make it a bit | louder.
        Dim the lamp / over the | table / and switch the others | off.
        Lock the {place} door.
        What's the weather like / at the | coast?
        Read me the | news / but only the | local ones.
        In my opinion | the second offer is | much better.
        As far as I know | he has never been to | {town}.
        The man who | repaired the roof | wants to be paid in cash.
        I'd rather | not say.
        It depends / how much would the | {extra} be?
        That's all.
        That's fine / see you on the {ordinal}.
        What I really need is a | {colour} {item} / for my | office.
    """),
    fillings=_filled(
        age="eleven, fourteen, fifteen",
        office="town hall, tax office, library, garage",
        extra="insurance, salad, delivery, gift wrapping",
        colour="green, yellow, white, grey",
        ordinal="third, eleventh, twenty second, fifth",
        month="March, June, October, December",
        year="sixty four, eighty one, ninety seven, seventy",
        code="seven one, zero two six, five nine eight, one one four, three eight, two six seven five",
        dish="mushroom soup, grilled fish, lasagna, omelette",
        drink="lemonade, orange juice, beer, tea",
        item="balloons, candles, paper cups, chairs, blankets",
        place="harbour, front, old town, garden",
        town="Dublin, Lisbon, Seattle, Vienna",
        pet="rabbit, turtle, horse",
        surname="Johnson, Carter, Newman, Ortega",
    ),
    voices=("en-us+m2", "en-us+m4", "en-us+m6", "en-us+m8", "en-us+f2", "en-us+f4", "en-us+Alex", "en-us+john",
            "en-us+linda", "en-us+Annie", "en-us+edward", "en-us+victor", "en-gb-scotland", "en-029"),
)  # fmt: skip
