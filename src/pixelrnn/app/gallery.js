export default function ({ parentElement: root, data, setStateValue }) {
  const gallery = root.querySelector(".gallery");
  gallery.replaceChildren(...data.pictures.map(({ name, title, image }) => {
    const button = document.createElement("button"), picture = document.createElement("img");
    button.type = "button";
    picture.src = image;
    picture.alt = "";
    button.append(picture, title);
    button.ariaPressed = String(name === data.chosen);
    button.onclick = () => setStateValue("chosen", { name, time: Date.now() });
    return button;
  }));
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}

// a picture on the clipboard goes where an upload goes, with the same limits
function paste(event) {
  const files = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
  const input = document.querySelector("input[type=file]");
  if (!files.length || !input) return;
  const transfer = new DataTransfer();
  files.forEach((file) => transfer.items.add(file));
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  event.preventDefault();
}
