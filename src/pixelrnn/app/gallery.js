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
  root.querySelector(".camera input").onchange = ({ target }) => { upload([...target.files]); target.value = ""; };
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}

// An image from the clipboard or the camera is passed to the uploader, with the same limits.
function paste(event) {
  if (upload([...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/")))) event.preventDefault();
}

function upload(files) {
  const input = document.querySelector("[data-testid=stFileUploader] input[type=file]");
  if (!files.length || !input) return false;
  const transfer = new DataTransfer();
  files.forEach((file) => transfer.items.add(file));
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}
