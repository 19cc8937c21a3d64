#include "formats/card/words.h"

/*
 * Common English words, chosen not to sound alike; no two share their first
 * four letters.  Their order is part of the format.
 */
/* clang-format off */
const char *const cw_card_words[256] = {
	"acid", "acorn", "actor", "album", "amber", "anchor", "ankle",
	"apple", "apron", "arch", "arena", "armor", "arrow", "artist",
	"atlas", "autumn", "axle", "bacon", "badge", "bagel", "balcony",
	"banana", "banjo", "barrel", "basket", "beacon", "beaver", "bell",
	"bench", "bicycle", "biscuit", "bishop", "blanket", "blossom",
	"bottle", "bracket", "branch", "brick", "bridge", "bronze", "bubble",
	"bucket", "buffalo", "butter", "cabin", "cactus", "camel", "candle",
	"canoe", "canyon", "captain", "carbon", "carpet", "castle", "cement",
	"chapel", "cherry", "chimney", "cider", "cinema", "circus",
	"clarinet", "clover", "cobra", "coconut", "coffee", "comet",
	"compass", "copper", "coral", "cotton", "cowboy", "cradle", "crater",
	"cricket", "crystal", "cupboard", "curtain", "cushion", "dagger",
	"daisy", "deputy", "desert", "diamond", "dinner", "doctor", "dolphin",
	"donkey", "dragon", "drawer", "drum", "eagle", "elbow", "elephant",
	"engine", "envelope", "falcon", "farmer", "feather", "fiddle",
	"finger", "flannel", "flute", "forest", "fossil", "fountain",
	"frozen", "funnel", "galaxy", "garden", "garlic", "gazelle", "giant",
	"ginger", "giraffe", "glacier", "goblet", "gorilla", "granite",
	"grape", "guitar", "hammer", "harbor", "hazel", "helmet", "hockey",
	"honey", "hotel", "hunter", "iceberg", "igloo", "indigo", "insect",
	"island", "ivory", "jacket", "jaguar", "jelly", "jewel", "jockey",
	"jungle", "kayak", "kettle", "kitchen", "koala", "ladder", "lagoon",
	"lantern", "laundry", "lawyer", "lemon", "leopard", "library",
	"linen", "lizard", "lobster", "lumber", "magnet", "mango", "marble",
	"meadow", "medal", "mercury", "mirror", "mittens", "monkey", "mosaic",
	"mustard", "napkin", "nectar", "needle", "nickel", "noodle", "nutmeg",
	"oasis", "octopus", "olive", "onion", "orbit", "orchid", "otter",
	"oxygen", "oyster", "paddle", "palace", "panda", "parrot", "pebble",
	"pelican", "pencil", "pepper", "piano", "pigeon", "pillow", "pilot",
	"planet", "plumber", "pocket", "polar", "poppy", "potato", "prairie",
	"pumpkin", "puzzle", "quartz", "rabbit", "radish", "raven", "ribbon",
	"river", "robin", "rocket", "saddle", "salmon", "satin", "scarlet",
	"shadow", "silver", "skeleton", "sparrow", "spider", "spoon",
	"squirrel", "stadium", "sugar", "sunset", "tailor", "teapot",
	"temple", "thimble", "thunder", "tiger", "tobacco", "tomato",
	"tractor", "trumpet", "tulip", "tunnel", "turkey", "umbrella",
	"uncle", "unicorn", "valley", "vanilla", "velvet", "violin",
	"volcano", "waffle", "walnut", "window", "wizard", "wolf", "yellow",
	"yogurt", "zebra", "zipper",
};
/* clang-format on */
