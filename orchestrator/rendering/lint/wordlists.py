"""Words by language that rules look for. Kept by hand; whoever writes a language may add to it."""

# ruff: noqa: RUF001 - letters of many languages
from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _lists(table: str) -> Mapping[str, tuple[str, ...]]:
    """Lines of `language: word, two words, ...`."""
    found: dict[str, tuple[str, ...]] = {}
    for line in table.strip().splitlines():
        language, _, words = line.strip().partition(":")
        found[language] = tuple(word.strip() for word in words.split(",") if word.strip())
    return found


VAGUE: Final = _lists(
    """
    en: click here, here, read more, more, link, this link, learn more, click, tap here, this, go
    ar: اضغط هنا, انقر هنا, هنا, اقرأ المزيد, المزيد, رابط
    cs: klikněte zde, zde, více, číst dále, odkaz
    da: klik her, her, læs mere, mere, link
    de: hier klicken, klicken sie hier, hier, mehr, mehr lesen, weiterlesen, mehr erfahren, link
    es: haz clic aquí, haga clic aquí, aquí, leer más, más, enlace, saber más
    et: kliki siia, siin, loe edasi, rohkem, link
    fa: اینجا کلیک کنید, کلیک کنید, اینجا, بیشتر, ادامه, ادامه مطلب, لینک
    fi: klikkaa tästä, klikkaa, tästä, tässä, lue lisää, lisää, linkki
    fr: cliquez ici, ici, lire la suite, en savoir plus, plus, lien
    he: לחץ כאן, לחצו כאן, כאן, קרא עוד, עוד, קישור
    hu: kattintson ide, ide, itt, tovább, bővebben, link
    it: clicca qui, qui, leggi di più, altro, link, scopri di più
    ja: こちら, ここをクリック, 詳細, もっと見る, リンク
    lt: spauskite čia, čia, daugiau, skaityti daugiau, nuoroda
    lv: spied šeit, šeit, vairāk, lasīt vairāk, saite
    nb: klikk her, her, les mer, mer, lenke
    nl: klik hier, hier, lees meer, meer, link
    pl: kliknij tutaj, kliknij, tutaj, tu, czytaj więcej, więcej, link, dowiedz się więcej
    pt: clique aqui, aqui, leia mais, saiba mais, mais, link
    ro: click aici, aici, citește mai mult, mai mult, link
    ru: нажмите здесь, нажмите, здесь, сюда, тут, подробнее, читать далее, ещё, ссылка
    sv: klicka här, här, läs mer, mer, länk
    tr: buraya tıklayın, tıklayın, burada, devamı, daha fazla, bağlantı
    uk: натисніть тут, тут, сюди, детальніше, читати далі, посилання
    ur: یہاں کلک کریں, یہاں, مزید, مزید پڑھیں, لنک
    zh: 点击这里, 点击此处, 这里, 此处, 更多, 阅读更多, 链接
    """
)
"""What a link must not say: it tells nothing to somebody who hears links alone (WCAG 2.4.4)."""

UNSUBSCRIBE: Final = _lists(
    """
    en: unsubscribe, opt out, stop receiving
    ar: إلغاء الاشتراك, ألغ الاشتراك
    cs: odhlásit, odhlášení
    da: afmeld, frameld
    de: abmelden, abbestellen, austragen
    es: darse de baja, cancelar la suscripción, baja, desuscribir
    et: loobu, lõpeta tellimus
    fa: لغو اشتراک, لغو عضویت, انصراف
    fi: peruuta tilaus, peru tilaus, lopeta tilaus, peru, peruuta, lopeta
    fr: se désabonner, désabonner, désinscrire, désinscription, désabonnement
    he: הסרה, ביטול הרשמה, הסר
    hu: leiratkozás, leiratkozom
    it: annulla l'iscrizione, disiscriviti, cancellati, disiscrizione
    ja: 配信停止, 購読解除, 登録解除
    lt: atsisakyti
    lv: atrakstīties, atteikties
    nb: meld deg av, avmeld, avslutt abonnement
    nl: afmelden, uitschrijven
    pl: wypisz, rezygnacja, zrezygnuj, rezygnuję, anuluj subskrypcję
    pt: cancelar a inscrição, cancelar inscrição, cancelar a subscrição, descadastrar
    ro: dezabonare, dezabonează
    ru: отписаться, отказаться, отписка
    sv: avregistrera, avsluta prenumeration, avprenumerera
    tr: abonelikten çık, listeden çık
    uk: відписатися, відмовитися
    ur: ان سبسکرائب, رکنیت ختم
    zh: 退订, 取消订阅
    """
)
"""What the way out is called (Gmail's and Yahoo's rules for senders: clearly visible)."""

PROMOTION: Final = _lists(
    """
    en: discount, % off, sale, coupon, voucher, special offer, buy now, free shipping, deal
    de: rabatt, gutschein, sonderangebot, jetzt kaufen, schnäppchen
    es: descuento, rebajas, cupón, oferta especial, compra ahora
    fa: تخفیف, کوپن, حراج, پیشنهاد ویژه
    fi: alennus, alennuskoodi, etukoodi, tarjous, ale, osta nyt
    fr: remise, réduction, soldes, bon de réduction, promo, achetez maintenant
    pl: rabat, zniżka, kupon, promocja, wyprzedaż, kup teraz
    ru: скидка, скидки, купон, промокод, распродажа, купить сейчас
    sv: rabatt, rea, erbjudande, köp nu
    """
)
"""Words of advertising, which make any message marketing (ICO: tone and content decide)."""

WITHHELD: Final = _lists(
    """
    en: password, passcode, pin code, cvv, casino, gambling, betting, cannabis, cbd, vape, tobacco
    de: passwort, kennwort, casino, glücksspiel, tabak
    fa: رمز عبور, قمار, شرط‌بندی
    fi: salasana, kasino, vedonlyönti, tupakka
    pl: hasło, kasyno, hazard, tytoń
    ru: пароль, казино, ставки, табак
    """
)
"""What carriers refuse in a text, or what does not belong in one (CTIA messaging principles)."""

ONE_TIME_CODE: Final = _lists(
    """
    en: verification code, one-time code, one-time password, login code
    de: bestätigungscode, einmalcode
    fa: کد تأیید, رمز یکبار مصرف
    fi: vahvistuskoodi, kertakäyttökoodi
    pl: kod weryfikacyjny, kod jednorazowy
    ru: код подтверждения, одноразовый код
    """
)

SHORTENERS: Final = frozenset(
    """
    bit.ly buff.ly cutt.ly goo.gl is.gd lnkd.in ow.ly rb.gy rebrand.ly s.id shorturl.at short.gy
    t.co t.ly t2m.io tiny.cc tinyurl.com v.gd
    """.split()
)
"""Shared shorteners, which carriers block for what others send through them."""


def words_of(table: Mapping[str, tuple[str, ...]], language: str) -> tuple[str, ...]:
    """The words of a language; English ones too, since they turn up everywhere."""
    own = table.get(language, ())
    return own if language == "en" else (*own, *table["en"])
