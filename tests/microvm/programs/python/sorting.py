# Locales, sorting of what compares equal, and the order of sets and dictionaries.
import locale, os, random, subprocess, unicodedata

words = ["Zebra", "apple", "Äpfel", "äpfel", "éclair", "eclair", "ß", "ss", "İ", "i", "I", "ı", "10", "9", "_", ""]
for name in ("C", "C.UTF-8", "", "en_US.UTF-8", "de_DE.UTF-8"):
    try: print(repr(name), locale.setlocale(locale.LC_ALL, name), sorted(words, key=locale.strxfrm), locale.localeconv())
    except locale.Error as error: print(name, error)
print({word for word in words}, frozenset(words), set(map(hash, words)), {object() for _ in range(3)})
class Same:
    def __init__(self, name): self.name = name
    def __lt__(self, other): return False
    def __repr__(self): return str(self.name)
random.shuffle(same := [Same(n) for n in range(40)])
print(sorted(same), sorted(same, key=id), min(same), max(same))
print([unicodedata.normalize("NFKD", word).casefold() for word in words], unicodedata.unidata_version)
for name in words[:8]: open(f"/tmp/{name}", "w").close()
print(os.listdir("/tmp"), subprocess.run(["ls", "-U", "/tmp"], capture_output=True).stdout)
